package reply

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
)

// Path is where the page is.
const Path = "/answer"

// Config is what a page works with.
type Config struct {
	Lang     string         // zh or en
	Location *time.Location // of times shown; nil: UTC
	Escalate bool           // there are steps upwards
	// URL signs an address.
	URL func(path string, params url.Values, until time.Time) string
	// Claims are the matters that people were told of.
	Claims func() []claim.State
	// Answer does what somebody asks for.
	Answer func(context.Context, claim.Answer) (claim.State, error)
	// Answerers are those who may answer to a group; empty: everybody, by any name.
	Answerers func(dingtalk.Group) []string
	Log       *slog.Logger
	Now       func() time.Time // nil: time.Now
}

// Page makes links and serves what they lead to.
type Page struct{ cfg Config }

// New returns a page.
func New(cfg Config) *Page {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Page{cfg}
}

// good is how long a link is at least good, and it is so for at most a day more: the
// links of a message stay the same for a day, so that the parts of a message do.
const good = 24 * time.Hour

// Links are what can be answered to a message about g; nothing to one that ended.
func (p *Page) Links(g dingtalk.Group) []dingtalk.Link {
	if !g.Firing() {
		return nil
	}
	w := p.words()
	until := p.cfg.Now().UTC().Truncate(24 * time.Hour).Add(24*time.Hour + good)
	var links []dingtalk.Link
	for _, a := range []claim.Action{claim.Claim, claim.Silence, claim.Escalate} {
		if a == claim.Escalate && !p.cfg.Escalate {
			continue
		}
		q := url.Values{"m": {matter(g.Key)}, "a": {string(a)}}
		links = append(links, dingtalk.Link{Text: w.actions[a], URL: p.cfg.URL(Path, q, until)})
	}
	return links
}

// matter is short for a group key.
func matter(key string) string {
	h := fnv.New64a()
	h.Write([]byte(key))
	return fmt.Sprintf("%016x", h.Sum64())
}

// most bounds what a form may hold, in bytes.
const most = 4 << 10

// ServeAnswer shows the page, and does what its button asks for. The parameters
// are those of an address whose signature was right.
func (p *Page) ServeAnswer(w http.ResponseWriter, r *http.Request, params url.Values) {
	head := w.Header()
	head.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("Cache-Control", "no-store")
	head.Set("X-Content-Type-Options", "nosniff")
	head.Set("X-Robots-Tag", "noindex")
	action := claim.Action(params.Get("a"))
	s, ok := p.find(params.Get("m"))
	if !ok || !action.Known() {
		p.show(w, http.StatusGone, view{Message: p.words().unknown})
		return
	}
	v := p.view(s, action, r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		p.show(w, http.StatusOK, v)
	case http.MethodPost:
		p.answer(w, r, s, action, v)
	default:
		head.Set("Allow", "GET, HEAD, POST")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

func (p *Page) find(m string) (claim.State, bool) {
	for _, s := range p.cfg.Claims() {
		if matter(s.Key) == m {
			return s, true
		}
	}
	return claim.State{}, false
}

// answer does what the button asks for.
func (p *Page) answer(w http.ResponseWriter, r *http.Request, s claim.State, action claim.Action, v view) {
	r.Body = http.MaxBytesReader(w, r.Body, most)
	if err := r.ParseForm(); err != nil {
		p.show(w, http.StatusBadRequest, view{Message: p.words().unknown})
		return
	}
	by, once := strings.TrimSpace(r.PostForm.Get("by")), r.PostForm.Get("once")
	if !p.may(by, s) || once == "" || len(once) > 64 {
		v.Problem = p.words().who
		p.show(w, http.StatusUnprocessableEntity, v)
		return
	}
	from, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		from = r.RemoteAddr
	}
	p.cfg.Log.Info("answered by link", "group", s.ID(), "action", action, "by", by, "from", from)
	done, err := p.cfg.Answer(r.Context(), claim.Answer{
		ID: "link " + once, Key: s.Key, Action: action, By: claim.Person{Name: by}, At: p.cfg.Now(), Via: "link from " + from,
	})
	// Without TLS browsers forget it, and the name is asked for each time.
	http.SetCookie(w, &http.Cookie{
		Name: cookie, Value: url.QueryEscape(by), Path: "/", MaxAge: 365 * 86400,
		Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
	if err != nil {
		p.show(w, statusOf(err), view{Title: v.Title, ID: v.ID, Message: p.refusal(err)})
		return
	}
	p.show(w, http.StatusOK, view{Title: v.Title, ID: v.ID, Message: p.words().done[action], Status: p.status(done)})
}

// may reports whether somebody who says to be of that name may answer.
func (p *Page) may(by string, s claim.State) bool {
	if by == "" || len(by) > 60 || strings.ContainsFunc(by, func(r rune) bool { return r < ' ' }) {
		return false
	}
	may := p.cfg.Answerers(s.Group)
	return len(may) == 0 || slices.Contains(may, by)
}

func statusOf(err error) int {
	_, taken := errors.AsType[*claim.TakenError](err)
	switch {
	case errors.Is(err, claim.ErrUnknown):
		return http.StatusGone
	case taken, errors.Is(err, claim.ErrEnded), errors.Is(err, claim.ErrNobody), errors.Is(err, claim.ErrNoSteps):
		return http.StatusConflict
	}
	return http.StatusInternalServerError
}

// cookie keeps the name that somebody answered by last.
const cookie = "answer-by"

func nameOf(r *http.Request) string {
	c, err := r.Cookie(cookie)
	if err != nil {
		return ""
	}
	name, err := url.QueryUnescape(c.Value)
	if err != nil {
		return ""
	}
	return name
}

func (p *Page) clock(t time.Time) string {
	loc := p.cfg.Location
	if loc == nil {
		loc = time.UTC
	}
	return t.In(loc).Format("15:04")
}
