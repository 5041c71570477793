package cli

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// filesOf is what a scenario may read: what lies beside it, and the environment.
func filesOf(s *api.Scenario) scenario.Files {
	return scenario.Files{Dir: filepath.Dir(s.Source.File), Env: os.LookupEnv}
}

// scenarioProblems puts the file and the line to what is wrong with a scenario.
func scenarioProblems(s *api.Scenario, err error) error {
	var all api.Problems
	for _, f := range scenario.Fields(err) {
		if f.Err == loadtest.ErrInvalidScenario { //nolint:errorlint // the mark itself
			continue
		}
		if f.Field == "" {
			return invalid(fmt.Errorf("%s: %w", s.Source, err))
		}
		p := api.Problem{Source: s.Source, Field: "spec." + f.Field, Message: f.Err.Error()}
		if line := s.Lines.At(p.Field); line > 0 {
			p.Source.Line = line
		}
		all = append(all, p)
	}
	all.Sort()
	return all
}
