package api

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

// TestGood: every file parses and validates without a problem.
func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		set, problems := Parse(filepath.Base(file), read(t, file))
		problems = append(problems, Validate(set)...)
		if len(problems) > 0 {
			t.Errorf("problems in %s:\n%s", file, problems)
		}
		if set.Len() == 0 {
			t.Errorf("%s holds nothing", file)
		}
	}
}

// TestBad: each file is a case, the .txt beside it is exactly what is said.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			set, problems := Parse(filepath.Base(file), read(t, file))
			problems = append(problems, Validate(set)...)
			problems.Sort()
			if len(problems) == 0 {
				t.Error("no problem found")
			}
			for _, p := range problems {
				if p.Line == 0 {
					t.Errorf("without a line: %s", p)
				}
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", problems.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(read(t, file)), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
