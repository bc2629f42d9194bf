package core_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What is tested where: testdata/coverage.json says of every scenario and threat row that it is covered, or why not. Tests name the rows they
// cover; this one holds the claims against the names.

// coverage is the data file: "covered", or why not.
type coverage struct {
	Scenarios map[string]string `json:"scenarios"`
	Threats   map[string]string `json:"threats"`
}

var (
	scenarioList = regexp.MustCompile(`[Ss]cenarios? (\d+(?:(?:, and |, | and | to |-)\d+)*)`)
	scenarioName = regexp.MustCompile(`Scenarios?(\d+)(?:And(\d+))?`)
	threatRow    = regexp.MustCompile(`\bT\d\d(?:, T\d\d)*(?: to T\d\d)?`)
	number       = regexp.MustCompile(`\d+`)
	rangeOf      = regexp.MustCompile(`(\d+) ?(?:to|-) ?T?(\d+)`)
)

// mentions are the numbers in the sources of all tests, and the files they stand in.
func mentions(t *testing.T) (scenarios, threats map[int][]string) {
	t.Helper()
	scenarios, threats = map[int][]string{}, map[int][]string{}
	note := func(into map[int][]string, text, file string) {
		for _, match := range rangeOf.FindAllStringSubmatch(text, -1) {
			from, _ := strconv.Atoi(match[1])
			to, _ := strconv.Atoi(match[2])
			for n := from; n <= to && to < 200; n++ {
				into[n] = append(into[n], file)
			}
		}
		for _, digits := range number.FindAllString(text, -1) {
			n, _ := strconv.Atoi(digits)
			into[n] = append(into[n], file)
		}
	}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch name := entry.Name(); {
		case entry.IsDir():
			if name == "node_modules" || name == ".git" || name == "dist" || name == "build" || name == "testdata" {
				return filepath.SkipDir
			}
			return nil
		case strings.HasSuffix(name, "_test.go") && name != "coverage_test.go", strings.HasSuffix(name, ".test.ts"), strings.Contains(filepath.ToSlash(path), "/storetest/") && strings.HasSuffix(name, ".go"):
		default:
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file := filepath.ToSlash(strings.TrimPrefix(path, ".."+string(filepath.Separator)))
		for _, match := range scenarioList.FindAllStringSubmatch(string(source), -1) {
			note(scenarios, match[1], file)
		}
		for _, match := range scenarioName.FindAllStringSubmatch(string(source), -1) {
			note(scenarios, match[1]+" "+match[2], file)
		}
		for _, match := range threatRow.FindAllString(string(source), -1) {
			note(threats, match, file)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return scenarios, threats
}

// What is claimed to be covered is named in a test, and nothing that is asked for is left out of the list. With -v the list is printed.
func TestCoverage(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "coverage.json"))
	if err != nil {
		t.Fatal(err)
	}
	var claimed coverage
	if err := json.Unmarshal(raw, &claimed); err != nil {
		t.Fatal(err)
	}
	scenarios, threats := mentions(t)
	hold := func(what string, claims map[string]string, found map[int][]string, wanted []int, prefix string) {
		for _, n := range wanted {
			name := strconv.Itoa(n)
			if prefix == "T" && n < 10 {
				name = "0" + name
			}
			claim, listed := claims[prefix+name]
			files := slices.Compact(slices.Sorted(slices.Values(found[n])))
			switch {
			case !listed || claim == "":
				t.Errorf("%s %s%s is not in the list (it is named in %v)", what, prefix, name, files)
			case claim == "covered" && len(files) == 0:
				t.Errorf("%s %s%s is claimed to be covered, and no test names it", what, prefix, name)
			case claim == "covered":
				t.Logf("%s %s%s: %s", what, prefix, name, strings.Join(files, " "))
			default:
				t.Logf("%s %s%s: not covered: %s", what, prefix, name, claim)
			}
		}
	}
	hold("scenario", claimed.Scenarios, scenarios, numbers(1, 162), "")
	hold("threat", claimed.Threats, threats, numbers(1, 53, 57, 57), "T")
}

// numbers are the numbers of ranges.
func numbers(bounds ...int) (all []int) {
	for i := 0; i+1 < len(bounds); i += 2 {
		for n := bounds[i]; n <= bounds[i+1]; n++ {
			all = append(all, n)
		}
	}
	return all
}
