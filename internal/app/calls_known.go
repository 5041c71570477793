package app

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	client "github.com/kongdao/kongdao/internal/clickhouse"
)

// mayAsk refuses a question about a tenant that is not the reader's. Without it
// ClickHouse would answer with no rows, which says less.
func (s *System) mayAsk(ctx context.Context, f CallFilter) error {
	who := readerOf(ctx)
	if f.Tenant == "" || who == nil || who.sees(f.Tenant) {
		return nil
	}
	return huma.Error403Forbidden(fmt.Sprintf("reader %s sees the calls of %s, not of %s", who.name, strings.Join(who.tenants, ", "), f.Tenant))
}

// known is asked when there was no call: it refuses the name of a function or tenant
// that neither resources nor the last days have, with the names that are like it.
// Without resources in this process nobody can say that a function does not exist.
func (s *System) known(ctx context.Context, f CallFilter) error {
	if s.registry == nil || f.Function == "" && f.Tenant == "" {
		return nil
	}
	functions, tenants := map[string]bool{}, map[string]bool{}
	for _, fn := range s.registry.Current().Set.Functions {
		if readerOf(ctx).sees(fn.Tenant) {
			functions[fn.Name], tenants[fn.Tenant] = true, true
		}
	}
	if (f.Function == "" || functions[f.Function]) && (f.Tenant == "" || tenants[f.Tenant]) {
		return nil
	}
	type named struct {
		Function string `ch:"function"`
		Tenant   string `ch:"tenant"`
	}
	_, err := s.question(ctx, "SELECT DISTINCT function, tenant FROM calls_1h WHERE t > now() - INTERVAL 30 DAY", nil, client.Each(func(n named) error {
		functions[n.Function], tenants[n.Tenant] = true, true
		return nil
	}))
	if err != nil {
		return err
	}
	switch {
	case f.Function != "" && !functions[f.Function]:
		return unknown("function", f.Function, functions)
	case f.Tenant != "" && !tenants[f.Tenant]:
		return unknown("tenant", f.Tenant, tenants)
	}
	return nil
}

func unknown(kind, name string, have map[string]bool) error {
	text := fmt.Sprintf("there is no %s %s, neither in resources nor among the calls of the last 30 days", kind, name)
	if like := alike(name, sortedKeys(have)); len(like) > 0 {
		text += ": did you mean " + strings.Join(like, ", ") + "?"
	}
	return huma.Error404NotFound(text)
}

// alike are up to three of the names that name may have been meant to be, the most
// likely first.
func alike(name string, names []string) []string {
	const most = 3
	type candidate struct {
		name string
		far  int
	}
	var all []candidate
	for _, n := range names {
		far := distance(name, n)
		if strings.Contains(n, name) || n != "" && strings.Contains(name, n) {
			far = min(far, 1)
		}
		if n != "" && far <= max(1, len(name)/3) {
			all = append(all, candidate{n, far})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.far - b.far })
	var like []string
	for _, c := range all[:min(most, len(all))] {
		like = append(like, c.name)
	}
	return like
}

// distance is how many bytes have to be put in, taken out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
