package api

import (
	"fmt"
	"strings"
	"testing"
)

// fleet is the YAML of n functions with six pods each.
func fleet(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `---
apiVersion: kongdao.io/v1
kind: Function
metadata: {name: f-%d, tenant: t%d}
spec:
  routes: [{hosts: [api.example.com], path: /f/%d, methods: [GET]}]
  revisions:
    - name: r1
      endpoints:
        - {address: "10.0.0.1:8080", zone: zb-a}
        - {address: "10.0.0.2:8080", zone: zb-a}
        - {address: "10.0.0.3:8080", zone: zb-b}
        - {address: "10.0.0.4:8080", zone: zb-b}
        - {address: "10.0.0.5:8080", zone: zb-c}
        - {address: "10.0.0.6:8080", zone: zb-c}
  traffic: [{revision: r1, weight: 100}]
  objective: {latency: {p99: 100ms}, success: 99.9%%}
  access: {public: true}
`, i, i%40, i)
	}
	return []byte(b.String())
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		data := fleet(n)
		b.Run(fmt.Sprintf("functions=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				if set, problems := Parse("f.yaml", data); len(problems) > 0 || set.Len() != n {
					b.Fatal(problems)
				}
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		set, problems := Parse("f.yaml", fleet(n))
		if len(problems) > 0 {
			b.Fatal(problems)
		}
		b.Run(fmt.Sprintf("functions=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if problems := Validate(set); len(problems) > 0 {
					b.Fatal(problems)
				}
			}
		})
	}
}
