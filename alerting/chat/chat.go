package chat

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/stream"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/durable"
)

// Config says how to speak, and who may answer.
type Config struct {
	Dir      string         // keeps what tells our cards from others'
	Lang     string         // of cards: zh or en
	Location *time.Location // of times on cards; nil: UTC
	Steps    int            // upwards there are; 0: no button for them
	// Who is the name of the person with that user id; the error says why that person
	// may not answer to g. Nil: everybody may, by the user id.
	Who    func(userID string, g dingtalk.Group) (name string, err error)
	Name   func(userID string) string // of those whom cards mention; nil: the user id
	Stream stream.Config              // without credentials
	Now    func() time.Time           // nil: time.Now
}

// Chat speaks for the apps among the robots.
type Chat struct {
	cfg    Config
	book   *claim.Book
	log    *slog.Logger
	origin string
	now    func() time.Time
	wake   chan struct{}

	hearing sync.WaitGroup // streams

	mu      sync.Mutex // guards all below
	robots  map[string]robot
	wanted  map[app]bool
	streams map[app]*running
	start   func(app) *running // nil while Run does not run
	dirty   map[string]*task   // by card
}

// app is what a stream is for: several robots of one app share it.
type app struct {
	id      string
	secret  api.Secret
	openAPI string
}

// robot is one with an app.
type robot struct {
	client *dingtalk.AppClient
	app    app
}

type running struct {
	client *stream.Client
	stop   func()
}

// New makes a chat without robots; see [Chat.SetRobots].
func New(cfg Config, book *claim.Book, log *slog.Logger) (*Chat, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Chat{
		cfg: cfg, book: book, log: log, now: cfg.Now, wake: make(chan struct{}, 1),
		robots: map[string]robot{}, streams: map[app]*running{}, dirty: map[string]*task{},
	}
	var err error
	c.origin, err = readOrigin(filepath.Join(cfg.Dir, "origin"))
	return c, err
}

// readOrigin is a name of this installation's own. Were it missing, the cards of a
// new data folder would be taken for those of an old one, which are there already.
func readOrigin(file string) (string, error) {
	text, err := os.ReadFile(file)
	if origin := strings.TrimSpace(string(text)); err == nil && origin != "" {
		return origin, nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return "", fmt.Errorf("make folder of cards: %w", err)
	}
	origin := strings.ToLower(rand.Text()[:12])
	if err := durable.Replace(file, []byte(origin+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("write name of cards: %w", err)
	}
	return origin, nil
}

// SetRobots replaces the robots. Streams of apps that stay are not interrupted.
func (c *Chat) SetRobots(robots []dingtalk.Robot) error {
	next, wanted := map[string]robot{}, map[app]bool{}
	for _, r := range robots {
		if r.App == nil {
			continue
		}
		client, err := dingtalk.NewAppClient(r.Name, *r.App, nil)
		if err != nil {
			return err
		}
		of := app{r.App.ClientID, r.App.ClientSecret, r.App.Base()}
		next[r.Name], wanted[of] = robot{client, of}, true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, r := range next { // access tokens are kept
		if old, ok := c.robots[name]; ok && old.client.App() == r.client.App() {
			next[name] = old
		}
	}
	c.robots, c.wanted = next, wanted
	c.sync()
	return nil
}

// sync starts and ends streams until there are those that are wanted; the caller
// holds the lock.
func (c *Chat) sync() {
	if c.start == nil {
		return
	}
	for of, s := range c.streams {
		if !c.wanted[of] {
			s.stop()
			delete(c.streams, of)
		}
	}
	for of := range c.wanted {
		if c.streams[of] == nil {
			c.streams[of] = c.start(of)
		}
	}
}

// Has reports whether a robot sends cards.
func (c *Chat) Has(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.robots[name]
	return ok
}

// Connected is how many apps are heard, of how many.
func (c *Chat) Connected() (heard, of int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.streams {
		if s.client.Connected() {
			heard++
		}
	}
	return heard, len(c.wanted)
}
