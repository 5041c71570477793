package explain

import "strings"

// handlingStory is what there is to tell of a request's handling.
func (a Answer) handlingStory(line func(topic, format string, args ...any)) {
	h := a.Handling
	if h == nil {
		return
	}
	if h.Path != "" || h.Host != "" {
		path, host := h.Path, h.Host
		if path == "" {
			path = a.request.Path
		}
		if host == "" {
			host = a.request.Host
		}
		line("pods see", "%s%s", prefixed(h.Method), host+path)
	}
	for _, t := range []struct{ topic, text string }{
		{"transcoded", h.Transcoded},
		{"cors", h.CORS},
		{"timeout", h.Timeout},
		{"retries", h.Retries},
		{"copies", strings.Join(h.Mirrors, ", ")},
		{"request", strings.Join(h.RequestHeaders, ", ")},
		{"response", strings.Join(h.ResponseHeaders, ", ")},
	} {
		if t.text != "" {
			line(t.topic, "%s", t.text)
		}
	}
}

// prefixed is a word and a space, or nothing.
func prefixed(word string) string {
	if word == "" {
		return ""
	}
	return word + " "
}
