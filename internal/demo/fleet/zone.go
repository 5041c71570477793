package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"net"

	"golang.org/x/sync/errgroup"
)

// ZoneSpec is what one zone's process is told on its standard input.
type ZoneSpec struct {
	Zone string    `json:"zone"`
	Seed uint64    `json:"seed"`
	Pods []PodSpec `json:"pods"`
}

// PodSpec is one pod: the function it serves and where it listens.
type PodSpec struct {
	Function  string    `json:"function"`
	Address   string    `json:"address"` // 127.0.0.1:0 picks a port
	Behaviour Behaviour `json:"behaviour"`
}

// ServeZone is the process of one zone: it reads a ZoneSpec from in, listens on
// all its pods, writes the spec back to out with the real addresses, and serves
// until ctx ends or in is closed, so that it never outlives its parent.
func ServeZone(ctx context.Context, in io.Reader, out io.Writer) error {
	dec := json.NewDecoder(in)
	var spec ZoneSpec
	if err := dec.Decode(&spec); err != nil {
		return fmt.Errorf("read zone from standard input: %w", err)
	}
	listeners, err := listen(ctx, &spec)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(spec); err != nil {
		return fmt.Errorf("tell addresses: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	for i, l := range listeners {
		p := spec.Pods[i]
		pod := NewPod(p.Function, spec.Zone, p.Behaviour, podSeed(spec, i))
		g.Go(func() error { return pod.serve(ctx, l) })
	}
	go func() { // ends with the process: a read from a pipe cannot be cancelled
		_, _ = io.Copy(io.Discard, io.MultiReader(dec.Buffered(), in))
		cancel()
	}()
	return g.Wait()
}

// listen opens every pod's address and notes the real one in spec.
func listen(ctx context.Context, spec *ZoneSpec) ([]net.Listener, error) {
	var lc net.ListenConfig
	var all []net.Listener
	for i := range spec.Pods {
		l, err := lc.Listen(ctx, "tcp", spec.Pods[i].Address)
		if err != nil {
			for _, l := range all {
				_ = l.Close()
			}
			return nil, fmt.Errorf("listen for a pod of %s: %w", spec.Pods[i].Function, err)
		}
		spec.Pods[i].Address = l.Addr().String()
		all = append(all, l)
	}
	return all, nil
}

func podSeed(spec ZoneSpec, i int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d/%s/%d", spec.Seed, spec.Zone, i)
	return h.Sum64()
}
