package cli

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/kongdao/kongdao/internal/app"
)

// client talks to the API of the running system.
type client struct {
	http      *http.Client
	addresses app.Addresses
	token     string // of a reader; empty: none
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
	return &client{http: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}, addresses: a, token: e.bearer()}, nil
}

// apiProblem is the body of an error answer (RFC 9457).
type apiProblem struct {
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"` // such as query.limit
		Value    any    `json:"value"`
	} `json:"errors"`
}

// text is what is wrong, with the name of every parameter.
func (p apiProblem) text() string {
	if len(p.Errors) == 0 {
		return p.Detail
	}
	var all []string
	for _, e := range p.Errors {
		_, name, _ := strings.Cut(e.Location, ".")
		all = append(all, fmt.Sprintf("%s: is %v: %s", name, e.Value, e.Message))
	}
	return strings.Join(all, "\n")
}

// do sends in (nil: no body) and decodes the answer into out (nil: ignored).
// An answer of 409 means that a gate said no.
func (c *client) do(ctx context.Context, method, path string, query url.Values, in, out any) error {
	res, err := c.send(ctx, c.http, method, path, query, in)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("ask the running system: %w", err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return nil
}

// stream is do for an answer of any length, which the caller reads and closes.
func (c *client) stream(ctx context.Context, method, path string, query url.Values, in any) (*http.Response, error) {
	endless := *c.http
	endless.Timeout = 0
	return c.send(ctx, &endless, method, path, query, in)
}

// send returns the answer unless it is an error.
func (c *client) send(ctx context.Context, by *http.Client, method, path string, query url.Values, in any) (*http.Response, error) {
	u := url.URL{Scheme: "http", Host: c.addresses.API, Path: "/api/v1" + path, RawQuery: query.Encode()}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("TE", "trailers")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := by.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the running system: %w", err)
	}
	if res.StatusCode < http.StatusBadRequest {
		return res, nil
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("ask the running system: %w", err)
	}
	return nil, problem(res.StatusCode, answer)
}

// events reads server-sent events until the stream or ctx ends, or each returns an
// error.
func (c *client) events(ctx context.Context, path string, query url.Values, each func(event string, data []byte) error) error {
	res, err := c.stream(ctx, http.MethodGet, path, query, nil)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewReaderSize(res.Body, 64<<10)
	event := ""
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return errors.New("the running system has ended the stream")
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(": "))
		switch string(name) {
		case "event":
			event = string(value)
		case "data":
			if err := each(event, value); err != nil {
				return err
			}
		}
	}
}

func problem(status int, body []byte) error {
	var p apiProblem
	if json.Unmarshal(body, &p) != nil || p.Detail == "" {
		p.Detail = http.StatusText(status)
	}
	err := errors.New(p.text())
	switch status {
	case http.StatusConflict:
		return refused(err)
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return invalid(err)
	}
	return err
}
