package imports

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

type har struct {
	Log struct {
		Entries []struct {
			Request struct {
				Method   string         `json:"method"`
				URL      string         `json:"url"`
				Version  string         `json:"httpVersion"`
				Headers  []harPair      `json:"headers"`
				PostData *harPostedData `json:"postData"`
			} `json:"request"`
			ResourceType string `json:"_resourceType"`
		} `json:"entries"`
	} `json:"log"`
}

type harPair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type harPostedData struct {
	MIME     string    `json:"mimeType"`
	Text     string    `json:"text"`
	Encoding string    `json:"encoding"`
	Params   []harPair `json:"params"`
}

// largestHAR bounds an archive, which is read as a whole.
const largestHAR = 256 << 20

// unsent are headers that the generator makes itself.
var unsent = []string{"host", "content-length", "connection", "accept-encoding", "transfer-encoding", "te", "upgrade", "keep-alive", "proxy-connection"}

// HAR reads an HTTP archive, as browsers save it: a session, whose requests follow
// each other. Errors begin with the entry.
func HAR(in io.Reader) (*Import, error) {
	text, err := io.ReadAll(io.LimitReader(in, largestHAR+1))
	if err != nil {
		return nil, err
	}
	if len(text) > largestHAR {
		return nil, fmt.Errorf("is above %d bytes", largestHAR)
	}
	var h har
	if err := json.Unmarshal(text, &h); err != nil {
		return nil, fmt.Errorf("is no HTTP archive: %w", err)
	}
	out := &Import{Steps: true}
	for n, e := range h.Log.Entries {
		r := e.Request
		if strings.HasPrefix(r.URL, "ws") || e.ResourceType == "websocket" || strings.HasPrefix(r.URL, "data:") || strings.HasPrefix(r.URL, "blob:") {
			out.warn("entry %d is no HTTP request and was left out", n)
			continue
		}
		if !isMethod(r.Method) {
			return nil, fmt.Errorf("entry %d: method is %s, want one such as GET", n, quote(r.Method))
		}
		if err := checkAddress(r.URL); err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		x := Request{Method: r.Method, URL: r.URL}
		for _, f := range r.Headers {
			if name := strings.ToLower(f.Name); isHeader(name) && !slices.Contains(unsent, name) { // :authority and so on are none
				x.Header = append(x.Header, Field{name, clean(f.Value)})
			}
		}
		if x.Body, err = r.PostData.body(); err != nil {
			return nil, fmt.Errorf("entry %d: %w", n, err)
		}
		out.Requests = append(out.Requests, x)
	}
	if len(out.Requests) == 0 {
		return nil, errors.New("has no HTTP requests")
	}
	if len(out.Requests) > maxRequests {
		return nil, fmt.Errorf("has %d requests, want %d at most: leave images and such out when you save it", len(out.Requests), maxRequests)
	}
	return out, nil
}

// maxRequests is how many kinds of requests a scenario may have.
const maxRequests = 256

func (d *harPostedData) body() (string, error) {
	switch {
	case d == nil:
		return "", nil
	case d.Encoding == "base64":
		b, err := base64.StdEncoding.DecodeString(d.Text)
		if err != nil {
			return "", fmt.Errorf("its body is no base64")
		}
		return string(b), nil
	case d.Text == "" && strings.HasPrefix(d.MIME, "multipart/"):
		return "", errors.New("its form with files is not in the archive: leave the request out")
	case d.Text == "":
		var pairs []string
		for _, p := range d.Params {
			pairs = append(pairs, p.Name+"="+p.Value)
		}
		return strings.Join(pairs, "&"), nil
	}
	return d.Text, nil
}
