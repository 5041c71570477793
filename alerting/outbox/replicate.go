package outbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// replicated is how long an accepted message waits for peers to have it, too.
	// One that takes longer counts as away until it answers again.
	replicated = time.Second
	// postTimeout bounds one request to a peer.
	postTimeout = 5 * time.Second
	// pulse is how often a peer is asked that has everything, so that one which is
	// gone is known to be.
	pulse     = time.Second
	mostImage = 256 << 20
)

// Safe returns when all peers that answer have what was accepted so far, or after a
// second: then those that do not have it count as away.
func (o *Outbox) Safe() {
	n, _ := o.stream.position()
	late := time.NewTimer(replicated)
	defer late.Stop()
	for {
		missing, changed := o.stream.missing(n)
		if len(missing) == 0 {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			for _, f := range missing {
				o.stream.heard(f, 0, false)
			}
			return
		}
	}
}

// errGap: the peer needs an image.
var errGap = errors.New("the peer lacks something")

// Follow tells the peer at base all that happens here until ctx ends. The peer serves
// [Outbox.Mirrors] there.
func (o *Outbox) Follow(ctx context.Context, client *http.Client, base string) {
	f := o.stream.join()
	defer o.stream.leave(f)
	wait, at, whole := 100*time.Millisecond, uint64(0), true
	for ctx.Err() == nil {
		to, err := o.tellPeer(ctx, client, base, at, whole)
		switch {
		case errors.Is(err, errGap):
			whole = true
		case err != nil:
			o.stream.heard(f, 0, false)
			sleep(ctx, nil, wait)
			wait = min(2*wait, 2*time.Second)
		default:
			at, whole, wait = to, false, 100*time.Millisecond
			o.stream.heard(f, at, true)
			o.awaitNews(ctx, at)
		}
	}
}

func (o *Outbox) awaitNews(ctx context.Context, at uint64) {
	t := time.NewTimer(pulse)
	defer t.Stop()
	for {
		last, changed := o.stream.position()
		if last > at {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			return
		case <-changed:
		}
	}
}

// tellPeer makes one request, with what follows number at or, when that is too far
// back, with all.
func (o *Outbox) tellPeer(ctx context.Context, client *http.Client, base string, at uint64, whole bool) (to uint64, err error) {
	q := url.Values{"peer": {o.ID()}, "from": {strconv.FormatUint(at, 10)}}
	lines, to, ok := o.stream.after(at)
	if whole || !ok {
		if lines, to, err = o.image(time.Now()); err != nil {
			return 0, err
		}
		q.Set("image", "true")
	}
	q.Set("to", strconv.FormatUint(to, 10))
	ctx, cancel := context.WithTimeout(ctx, postTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/mirror?"+q.Encode(), bytes.NewReader(lines))
	if err != nil {
		return 0, fmt.Errorf("tell peer: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("tell peer: %w", err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	switch resp.StatusCode {
	case http.StatusOK:
		return to, nil
	case http.StatusConflict:
		return 0, errGap
	}
	return 0, fmt.Errorf("tell peer: HTTP %d", resp.StatusCode)
}

// Mirrors serves peers: POST /mirror takes what they tell, GET /taken says what was
// taken over from one. Whoever can reach it can have messages sent: it belongs where
// only peers do.
func (o *Outbox) Mirrors() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mirror", o.serveMirror)
	mux.HandleFunc("GET /taken", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(o.TakenOver(r.FormValue("peer"))) // who asked is gone
	})
	return mux
}

func (o *Outbox) serveMirror(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	from, err1 := strconv.ParseUint(q.Get("from"), 10, 64)
	to, err2 := strconv.ParseUint(q.Get("to"), 10, 64)
	if err := errors.Join(err1, err2); err != nil || q.Get("peer") == "" || q.Get("peer") == o.ID() {
		http.Error(w, "peer, from and to are wanted", http.StatusBadRequest)
		return
	}
	lines, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostImage))
	if err != nil {
		http.Error(w, "cut short", http.StatusBadRequest)
		return
	}
	ok, err := o.take(q.Get("peer"), q.Get("image") == "true", from, to, lines)
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case !ok:
		http.Error(w, "pieces are missing", http.StatusConflict)
	}
}

// AskTaken asks the peer at base what it has taken over from here, and forgets that.
func (o *Outbox) AskTaken(ctx context.Context, client *http.Client, base string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/taken?peer="+url.QueryEscape(o.ID()), nil)
	if err != nil {
		return fmt.Errorf("ask peer: %w", err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("ask peer: %w", err)
	}
	defer resp.Body.Close()
	var numbers []uint64
	if err := json.NewDecoder(io.LimitReader(resp.Body, mostImage)).Decode(&numbers); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("ask peer: HTTP %d: %w", resp.StatusCode, err)
	}
	o.giveAway(numbers)
	return nil
}
