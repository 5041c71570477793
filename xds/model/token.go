package model

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// where a token is expected.
func (t Token) where() string {
	if t.Issuer.Header == "" {
		return "authorization: Bearer"
	}
	return t.Issuer.Header
}

// claims are what a request's token says, if it has one that may be of this
// issuer. They are nil when it is malformed, or of somebody else.
func (t Token) claims(values Values) (claims map[string]any, found bool) {
	text := ""
	if h := t.Issuer.Header; h != "" {
		text = strings.Join(values(h), ",")
	} else if text, found = strings.CutPrefix(strings.Join(values("authorization"), ","), "Bearer "); !found {
		return nil, false
	}
	if text == "" {
		return nil, false
	}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return nil, true
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		return nil, true
	}
	if claims["iss"] != t.Issuer.Issuer || !t.meant(claims["aud"]) {
		return nil, true
	}
	return claims, true
}

// meant tells whether one of the audiences is the claim or in it.
func (t Token) meant(aud any) bool {
	if len(t.Issuer.Audiences) == 0 {
		return true
	}
	return slices.ContainsFunc(texts(aud), func(a string) bool { return slices.Contains(t.Issuer.Audiences, a) })
}

// holder is how the caller is named: token/subject.
func (t Token) holder(claims map[string]any) string {
	return t.Name + "/" + strings.Join(texts(claim(claims, t.Subject)), ",")
}

// lacking is the first required claim that has none of its values, or "".
func (t Token) lacking(claims map[string]any) string {
	for _, want := range t.Require {
		have := texts(claim(claims, want.Path))
		if last := want.Path[len(want.Path)-1]; last == "scope" || last == "scp" {
			have = strings.Fields(strings.Join(have, " "))
		}
		if !slices.ContainsFunc(have, func(v string) bool { return slices.Contains(want.Values, v) }) {
			return strings.Join(want.Path, ".")
		}
	}
	return ""
}

func claim(claims map[string]any, path []string) any {
	var at any = claims
	for _, key := range path {
		m, _ := at.(map[string]any)
		at = m[key]
	}
	return at
}

// texts are a claim's values: itself, or the items of a list.
func texts(claim any) []string {
	switch v := claim.(type) {
	case string:
		return []string{v}
	case bool:
		return []string{strconv.FormatBool(v)}
	case float64: // with as many digits as gateways have
		return []string{strconv.FormatFloat(v, 'g', 14, 64)}
	case []any:
		var all []string
		for _, item := range v {
			all = append(all, texts(item)...)
		}
		return all
	default:
		return nil
	}
}
