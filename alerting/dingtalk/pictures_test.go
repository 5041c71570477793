package dingtalk

import (
	"bytes"
	"encoding/base64"
	"flag"
	"fmt"
	"html"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting/chart"
)

var pictures = flag.String("pictures", "", "folder for pictures of messages as a phone shows them; needs chromium")

// TestPictures draws messages in a browser of a phone's width, for people to look
// at: make pictures.
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("make pictures")
	}
	for lang, r := range map[string]Renderer{"zh": {Location: time.FixedZone("CST", 8*3600)}, "en": {Lang: English, Location: time.FixedZone("CST", 8*3600)}} {
		r = full(r)
		r.Base = "https://kongdao.example.com"
		ended := slow(now)
		ended.Sequence++
		digest := []Group{zoneDown(time.Time{}), podsDown(14), ended}
		pages := map[string][]Message{
			"thread": append(r.Render(slow(time.Time{}), now), r.Render(ended, now.Add(time.Minute))...),
			"group":  r.Render(podsDown(14), now),
			"digest": {r.Digest(digest)},
			"card":   typed(r, ActionCard).Render(podsDown(3), now),
			"text":   typed(r, Text).Render(slow(time.Time{}), now),
		}
		for name, messages := range pages {
			shoot(t, filepath.Join(*pictures, "alert-"+name+"-"+lang+".png"), messages)
		}
	}
}

// page is a chat with a robot, much as DingTalk's.
const page = `<!doctype html><meta charset="utf-8"><style>
body{margin:0;padding:12px 10px;background:#eceef0;font:16px/1.45 "Noto Sans CJK SC","Noto Color Emoji",sans-serif;color:#171a1d;width:370px;box-sizing:border-box}
.m{background:#fff;border-radius:10px;padding:10px 13px;margin:0 44px 14px 40px;overflow-wrap:anywhere;position:relative}
.m:before{content:"K";position:absolute;left:-42px;top:0;width:34px;height:34px;border-radius:8px;background:#3296fa;color:#fff;text-align:center;line-height:34px}
h3{font-size:18px;margin:0 0 8px;line-height:1.35}h4{font-size:16px;margin:8px 0 4px}p{margin:6px 0}ul{margin:4px 0;padding-left:18px}li{margin:2px 0}
blockquote{margin:6px 0;padding-left:9px;border-left:3px solid #d5d8db;color:#5c6268}a{color:#0f66d0;text-decoration:none}img{width:100%;display:block}
.at{color:#0f66d0}.b{display:block;border-top:1px solid #eceef0;text-align:center;padding:9px 0;color:#0f66d0}pre{font:inherit;margin:0;white-space:pre-wrap}
</style>`

func shoot(t *testing.T, file string, messages []Message) {
	t.Helper()
	var b strings.Builder
	b.WriteString(page)
	for _, m := range messages {
		b.WriteString(`<div class="m">` + inHTML(t, m) + `</div>`)
	}
	dir := t.TempDir()
	source, shot := filepath.Join(dir, "page.html"), filepath.Join(dir, "shot.png")
	if err := os.WriteFile(source, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
		"--user-data-dir="+filepath.Join(dir, "profile"), "--force-device-scale-factor=1.5", "--window-size=500,2600", "--screenshot="+shot, "file://"+source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("chromium: %v\n%s", err, out)
	}
	trim(t, shot, file)
}

// trim cuts off what is below and beside the chat.
func trim(t *testing.T, from, to string) {
	t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	const width = 370 * 3 / 2
	bottom := img.Bounds().Max.Y
	for bottom > 1 && blank(img, bottom-1, width) {
		bottom--
	}
	out := image.NewRGBA(image.Rect(0, 0, width, min(bottom+18, img.Bounds().Max.Y)))
	draw.Draw(out, out.Bounds(), img, image.Point{}, draw.Src)
	var b bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, out); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

func blank(img image.Image, y, width int) bool {
	first := color.RGBAModel.Convert(img.At(0, y))
	for x := range width {
		if color.RGBAModel.Convert(img.At(x, y)) != first {
			return false
		}
	}
	return true
}

var (
	mdImage = regexp.MustCompile(`!\[[^\]]*\]\([^)]*\)`)
	mdLink  = regexp.MustCompile(`\[([^\]]*)\]\(([^)]*)\)`)
	mdBold  = regexp.MustCompile(`\*\*(.+?)\*\*`)
	mdAt    = regexp.MustCompile(`(^|\s)(@[^\s<]+)`)
)

// inHTML reads the part of markdown that DingTalk knows.
func inHTML(t *testing.T, m Message) string {
	t.Helper()
	if m.Type == Text {
		return "<pre>" + mdAt.ReplaceAllString(html.EscapeString(m.Text), `$1<span class="at">$2</span>`) + "</pre>"
	}
	var b strings.Builder
	for _, block := range strings.Split(m.Text, "\n\n") {
		lines := strings.Split(block, "\n")
		switch {
		case strings.HasPrefix(block, "#### "):
			fmt.Fprintf(&b, "<h4>%s</h4>", inline(t, block[5:]))
		case strings.HasPrefix(block, "### "):
			fmt.Fprintf(&b, "<h3>%s</h3>", inline(t, block[4:]))
		case strings.HasPrefix(block, "> "):
			fmt.Fprintf(&b, "<blockquote>%s</blockquote>", inline(t, block[2:]))
		case strings.HasPrefix(block, "- "):
			b.WriteString("<ul>")
			for _, l := range lines {
				fmt.Fprintf(&b, "<li>%s</li>", inline(t, strings.TrimPrefix(l, "- ")))
			}
			b.WriteString("</ul>")
		default:
			fmt.Fprintf(&b, "<p>%s</p>", inline(t, block))
		}
	}
	for _, l := range m.Buttons {
		fmt.Fprintf(&b, `<a class="b">%s</a>`, html.EscapeString(l.Text))
	}
	return b.String()
}

func inline(t *testing.T, s string) string {
	t.Helper()
	s = html.EscapeString(s)
	s = mdImage.ReplaceAllLiteralString(s, `<img src="data:image/png;base64,`+exampleChart(t)+`">`)
	s = mdLink.ReplaceAllString(s, `<a href="$2">$1</a>`)
	s = mdBold.ReplaceAllString(s, "<b>$1</b>")
	return mdAt.ReplaceAllString(s, `$1<span class="at">$2</span>`)
}

// exampleChart stands for the picture of any message.
func exampleChart(t *testing.T) string {
	t.Helper()
	bound := 0.3
	c := chart.Chart{Title: "LatencyHigh  function=checkout", Bound: &bound, From: began.Add(-15 * time.Minute), To: now, Began: began, Location: time.FixedZone("CST", 8*3600)}
	l := chart.Line{Name: "1"}
	for at := c.From; !at.After(c.To); at = at.Add(15 * time.Second) {
		v := 0.14 + 0.02*math.Sin(float64(at.Unix())/70)
		if at.After(began.Add(-30 * time.Second)) {
			v += 0.65
		}
		l.Points = append(l.Points, chart.Point{Time: at, Value: v})
	}
	c.Lines = []chart.Line{l}
	var b bytes.Buffer
	if err := c.Draw(&b); err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}
