package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/internal/durable"
)

// LoadMark is the right to mark requests as those of a stress test: a header that
// they have besides x-kongdao-load-test, with any value. Whoever knows its name has
// the right.
type LoadMark struct {
	Header string `json:"header"` // empty: everybody has the right
}

// markHeader is the name of that header, which follows from a secret that is made
// once and kept in the data directory.
func (s *System) markHeader() (string, error) {
	if s.cfg.LoadTest.Marks != config.MarksSigned {
		return "", nil
	}
	secret, err := keptSecret(filepath.Join(s.dir.sub("gateway"), "mark"))
	if err != nil {
		return "", fmt.Errorf("loadtest.marks: %w", err)
	}
	sum := sha256.Sum256([]byte("kongdao mark\n" + secret))
	return "x-kongdao-mark-" + hex.EncodeToString(sum[:16]), nil
}

// keptSecret reads a secret, or makes it.
func keptSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if secret := strings.TrimSpace(string(text)); err == nil && secret != "" {
		return secret, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	secret := rand.Text()
	if err := makeDir(filepath.Dir(path)); err != nil {
		return "", err
	}
	return secret, durable.Replace(path, []byte(secret+"\n"), 0o600)
}

// markRoutes answer whoever operates this machine, and nobody else.
func (s *System) markRoutes(whole huma.API) {
	h := huma.NewGroup(whole)
	h.UseMiddleware(func(ctx huma.Context, next func(huma.Context)) {
		if who := readerOf(ctx.Context()); !local(ctx) || who != nil && !who.operator {
			_ = huma.WriteErr(whole, ctx, http.StatusForbidden, "the right to mark requests is for operators, on the machine of the control plane")
			return
		}
		next(ctx)
	})
	huma.Get(h, "/api/v1/load-mark", func(context.Context, *struct{}) (*body[LoadMark], error) {
		return reply(LoadMark{Header: s.mark}), nil
	})
}
