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

	"github.com/spf13/cobra"
)

func (e *env) alertCommand() *cobra.Command {
	return group("alert", "alerts, silences and robots",
		e.alertListCommand(), e.alertShowCommand(), e.alertTestCommand(),
		e.alertSilenceCommand(), e.alertSilencesCommand(), e.alertExpireCommand(),
		e.alertOnCallCommand(), e.alertRulesCommand(),
		e.alertHistoryCommand(), e.alertReplayCommand(),
		e.alertClaimsCommand(), e.alertClaimCommand(), e.alertReleaseCommand(), e.alertEscalateCommand(),
	)
}

// errNoAlerting is for a system whose process has no alerting.
var errNoAlerting = errors.New("the running system has no alerting: start it with kongdao serve alerting …")

// alertmanager speaks Alertmanager's API v2. What it refuses as wrong is wrong usage.
func (c *client) alertmanager(ctx context.Context, method, path string, query url.Values, in, out any) error {
	return c.engine(ctx, c.addresses.Alertmanager, method, "/api/v2"+path, query, in, out)
}

// prometheus asks Prometheus' API and decodes the data of its answer.
func (c *client) prometheus(ctx context.Context, path string, query url.Values, out any) error {
	answer := struct{ Data any }{out}
	return c.engine(ctx, c.addresses.Prometheus, http.MethodGet, "/api/v1"+path, query, nil, &answer)
}

func (c *client) engine(ctx context.Context, address, method, path string, query url.Values, in, out any) error {
	if address == "" {
		return errNoAlerting
	}
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	u := url.URL{Scheme: "http", Host: address, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask the running system's alerting: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode >= http.StatusBadRequest {
		return refusal(res)
	}
	if out == nil {
		return nil
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return nil
}

// refusal is what an engine says of a request that it does not take.
func refusal(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var said string
	var object struct{ Error, Message string }
	switch {
	case json.Unmarshal(text, &said) == nil:
	case json.Unmarshal(text, &object) == nil && object.Error+object.Message != "":
		said = object.Error + object.Message
	default:
		said = string(bytes.TrimSpace(text))
	}
	err := fmt.Errorf("alerting answers %s: %s", res.Status, said)
	if res.StatusCode == http.StatusBadRequest || res.StatusCode == http.StatusUnprocessableEntity {
		return invalid(err)
	}
	return err
}
