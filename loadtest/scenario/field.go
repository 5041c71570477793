package scenario

import (
	"errors"

	"github.com/kongdao/kongdao/loadtest/flow"
)

// FieldError is what is wrong with one field of a scenario's spec.
type FieldError struct {
	Field string // such as scenarios[1].steps[0].url
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap is the problem without its field.
func (e *FieldError) Unwrap() error { return e.Err }

// Fields are all problems that an error of New holds, each with its field. What
// has none comes with an empty one.
func Fields(err error) []FieldError {
	var field *FieldError
	if errors.As(err, &field) && field == err { //nolint:errorlint // the error itself, not one that it wraps
		return []FieldError{*field}
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		var all []FieldError
		for _, e := range many.Unwrap() {
			all = append(all, Fields(e)...)
		}
		return all
	}
	if one := errors.Unwrap(err); one != nil {
		return Fields(one)
	}
	return []FieldError{{Err: err}}
}

// problemAt puts a request's problem below the request's own field.
func problemAt(field string, err error) error {
	var p *flow.Problem
	if !errors.As(err, &p) {
		return &FieldError{field, err}
	}
	if p.Field != "" {
		field += "." + p.Field
	}
	return &FieldError{field, p.Err}
}
