// Command requirements holds the tests against the tables of docs/spec: which row does a test name (`// req: MUST-58`), which was
// decided or waived, which is still open? It is what `make requirements` runs; its own test fails when the answer got worse or when
// what is written down about it is stale.
//
//	go run ./scripts/requirements          # print the matrix
//	go run ./scripts/requirements -write   # and write docs/requirements.md and docs/open.md
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	write := flag.Bool("write", false, "write docs/requirements.md, and take covered rows out of docs/open.md")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	faults, err := run(".", *write)
	if err != nil {
		fmt.Fprintln(os.Stderr, "requirements:", err)
		os.Exit(1)
	}
	for _, f := range faults {
		fmt.Fprintln(os.Stderr, f)
	}
	if len(faults) > 0 {
		os.Exit(1)
	}
}

// run prints the matrix of the tree in root and returns what is wrong with it.
func run(root string, write bool) ([]string, error) {
	p, err := load(root)
	if err != nil {
		return nil, err
	}
	if write {
		if err := p.write(); err != nil {
			return nil, err
		}
		if p, err = load(root); err != nil { // the faults of what now stands there
			return nil, err
		}
	}
	p.print(os.Stdout)
	return append(p.faults(), p.stale()...), nil
}
