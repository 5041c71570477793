package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/kongdao/kongdao/internal/app"
)

// client talks to the API of the running system.
type client struct {
	http      *http.Client
	addresses app.Addresses
}

// connect finds the system that runs on the data directory of --data.
func (e *env) connect() (*client, error) {
	a, err := app.ReadAddresses(e.data)
	if err != nil {
		return nil, err
	}
	if a.API == "" {
		return nil, fmt.Errorf("the system in %s runs without its API: start it with kongdao serve api …", e.data)
	}
	return &client{http: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, addresses: a}, nil
}

// apiProblem is the body of an error answer (RFC 9457).
type apiProblem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

// do sends in (nil: no body) and decodes the answer into out (nil: ignored).
// An answer of 409 means that a gate said no.
func (c *client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	u := url.URL{Scheme: "http", Host: c.addresses.API, Path: "/api/v1" + path, RawQuery: query.Encode()}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running system: %w", err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("ask the running system: %w", err)
	}
	if res.StatusCode >= http.StatusBadRequest {
		return problem(res.StatusCode, answer)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return nil
}

func problem(status int, body []byte) error {
	var p apiProblem
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		p.Detail = http.StatusText(status)
	}
	err := errors.New(p.Detail)
	switch status {
	case http.StatusConflict:
		return refused(err)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return invalid(err)
	}
	return err
}
