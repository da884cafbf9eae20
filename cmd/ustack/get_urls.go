package main

import (
	"fmt"
	"regexp"
	"strconv"
)

// maxURLs bounds what one template stands for.
const maxURLs = 100_000

// urlRange is {0..39} as in a shell or [0-39] as in curl, which a shell leaves alone inside quotes.
var urlRange = regexp.MustCompile(`\{(\d+)\.\.(\d+)\}|\[(\d+)-(\d+)\]`)

// expandURLs replaces each URL with ranges by the URLs that it stands for, the last range fastest.
func expandURLs(templates []string) ([]string, error) {
	var urls []string
	for _, t := range templates {
		list, err := expandURL(t)
		if err != nil {
			return nil, err
		}
		urls = append(urls, list...)
	}
	return urls, nil
}

func expandURL(template string) ([]string, error) {
	list := []string{""}
	at := 0
	for _, m := range urlRange.FindAllStringSubmatchIndex(template, -1) {
		numbers, err := countUp(template[m[0]:m[1]])
		if err != nil {
			return nil, err
		}
		if len(list)*len(numbers) > maxURLs {
			return nil, fmt.Errorf("%s stands for more than %d URLs", template, maxURLs)
		}
		longer := make([]string, 0, len(list)*len(numbers))
		for _, head := range list {
			for _, n := range numbers {
				longer = append(longer, head+template[at:m[0]]+n)
			}
		}
		list, at = longer, m[1]
	}
	for i := range list {
		list[i] += template[at:]
	}
	return list, nil
}

// countUp lists the numbers of one range, as wide as its first if that begins with a zero.
func countUp(r string) ([]string, error) {
	m := urlRange.FindStringSubmatch(r)
	from, to := m[1]+m[3], m[2]+m[4]
	lo, err := strconv.ParseUint(from, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the range %s: %w", r, err)
	}
	hi, err := strconv.ParseUint(to, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("the range %s: %w", r, err)
	}
	if hi < lo || hi-lo >= maxURLs {
		return nil, fmt.Errorf("the range %s must count up, to at most %d numbers", r, maxURLs)
	}
	width := 0
	if from[0] == '0' {
		width = len(from)
	}
	list := make([]string, 0, hi-lo+1)
	for n := lo; n <= hi; n++ {
		list = append(list, fmt.Sprintf("%0*d", width, n))
	}
	return list, nil
}
