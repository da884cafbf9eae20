package main

import (
	"os"
	"strings"
	"testing"
)

func Example() {
	main()
	// Output: Hello, 192.0.2.2!
}

// TestREADME expects the README to show this very program.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, program, _ := strings.Cut(string(source), "package main\n")
	if !strings.Contains(string(readme), "```go\npackage main\n"+program+"```\n") {
		t.Error("README.md does not show scripts/embed/main.go as it is")
	}
}
