package app

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds/certs"
)

// CheckCertificates reads what Certificates refer to and reports what is wrong with
// it. What is not on this machine, such as in a check before a deployment, is no
// problem of the resource: missing names it.
func CheckCertificates(set api.Set, resolve func(api.Secret) (string, error)) (problems api.Problems, missing []string) {
	for _, c := range set.Certificates {
		chain, errChain := resolve(c.Spec.Cert)
		key, errKey := resolve(c.Spec.Key)
		if err := errors.Join(errChain, errKey); err != nil {
			missing = append(missing, fmt.Sprintf("%s: certificate %s: %s", c.Source, c.Name, strings.ReplaceAll(err.Error(), "\n", "; ")))
			continue
		}
		pair, err := certs.Parse(chain, key, c.Spec.Hosts)
		if err == nil {
			err = certs.CheckTime(pair, time.Now())
		}
		problems = append(problems, certificateProblems(c, err)...)
	}
	problems.Sort()
	return problems, missing
}

// certificateProblems puts each error at the line of its field.
func certificateProblems(c *api.Certificate, err error) (problems api.Problems) {
	if err == nil {
		return nil
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // the list is wanted, not what is wrapped
		for _, e := range joined.Unwrap() {
			problems = append(problems, certificateProblems(c, e)...)
		}
		return problems
	}
	p := api.Problem{Source: c.Source, Message: err.Error()}
	if field := (*certs.Error)(nil); errors.As(err, &field) {
		p.Field, p.Message = string(field.Field), field.Err.Error()
		if line := c.Lines.At(p.Field); line > 0 {
			p.Line = line
		}
	}
	return api.Problems{p}
}
