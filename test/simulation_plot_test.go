package test

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Where things are in the plot, in its pixels.
const (
	plotWidth, plotHeight = 960, 816
	plotLeft, plotRight   = 60, 940
	firstPanel            = 86 // its top
	panelHeight           = 180
	panelStep             = 246 // from one top to the next
	plotTop               = 2.  // load at a panel's top; what is above is cut off
	plotWindow            = 10  // seconds to a point
)

// across returns where a time is.
func across(at time.Duration) float64 {
	return plotLeft + float64(plotRight-plotLeft)*(float64(at)/float64(worldEnds))
}

// panel is where a panel's top is.
type panel float64

// up returns where a load is.
func (p panel) up(load float64) float64 {
	return float64(p) + panelHeight*(1-min(load, plotTop)/plotTop)
}

// plot returns the loads over time as an SVG image, one panel for each.
func plot(all ...*simulation) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13" fill="#222">
<title>Load of 50 gateways over 50 minutes, by three ways to choose</title>
<rect width="100%%" height="100%%" fill="#fff"/>
`, plotWidth, plotHeight)
	legend(&b)
	for i, s := range all {
		p := panel(firstPanel + i*panelStep)
		p.disturbances(&b)
		p.curves(&b, s.log)
		p.axes(&b)
		_, highest := s.log.during(0, worldEnds).bounds()
		fmt.Fprintf(&b, `<text x="%d" y="%.0f" font-weight="bold">%s</text>`+"\n", plotLeft, p-24, s.name)
		fmt.Fprintf(&b, `<text x="%d" y="%.0f" text-anchor="end">highest load %.0f %%</text>`+"\n", plotRight, p-24, 100*highest)
	}
	fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="middle">time in minutes</text>`+"\n</svg>\n", (plotLeft+plotRight)/2, plotHeight-12)
	return b.String()
}

// legend says what the colours mean.
func legend(b *strings.Builder) {
	b.WriteString(`<text x="60" y="28">load = sessions / capacity</text>
<rect x="262" y="17" width="26" height="13" fill="#8fbbe8"/><text x="296" y="28">lowest to highest of the living gateways</text>
<path d="M572 23h26" stroke="#0b3d91" stroke-width="2"/><text x="606" y="28">mean</text>
<path d="M668 23h26" stroke="#b00020" stroke-dasharray="5 4"/><text x="702" y="28">capacity</text>
<rect x="784" y="17" width="26" height="13" fill="#e9e4d8"/><text x="818" y="28">disturbance</text>
`)
}

// disturbances marks what happens when.
func (p panel) disturbances(b *strings.Builder) {
	for _, d := range []struct {
		at, long time.Duration
		what     string
	}{
		{burstAt, burstFor, fmt.Sprintf("burst × %d", burstTimes)},
		{deathAt, deathFor, "largest gateway dead"},
		{restartAt, restartFor, fmt.Sprintf("%d gateways restart", restarts)},
	} {
		fmt.Fprintf(b, `<rect x="%.1f" y="%.0f" width="%.1f" height="%d" fill="#e9e4d8"/>`, across(d.at), p, across(d.at+d.long)-across(d.at), panelHeight)
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" font-size="11">%s</text>`+"\n", across(d.at), p-5, d.what)
	}
}

// axes draws the axes, with their labels.
func (p panel) axes(b *strings.Builder) {
	for percent := 0; percent <= 100*plotTop; percent += 50 {
		y, style := p.up(float64(percent)/100), `stroke="#bbb" stroke-width=".6"`
		if percent == 100 {
			style = `stroke="#b00020" stroke-dasharray="5 4"`
		}
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" %s/>`, plotLeft, y, plotRight, style)
		fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end">%d %%</text>`+"\n", plotLeft-6, y+4, percent)
	}
	for at := time.Duration(0); at <= worldEnds; at += 5 * time.Minute {
		x, foot := across(at), float64(p)+panelHeight
		fmt.Fprintf(b, `<path d="M%.1f %.0fv5" stroke="#222"/>`, x, foot)
		fmt.Fprintf(b, `<text x="%.1f" y="%.0f" text-anchor="middle">%.0f</text>`+"\n", x, foot+19, at.Minutes())
	}
	fmt.Fprintf(b, `<path d="M%d %.0fv%dH%d" fill="none" stroke="#222"/>`+"\n", plotLeft, p, panelHeight, plotRight)
}

// curves draws the band from the lowest to the highest load, and the mean.
func (p panel) curves(b *strings.Builder, r *record) {
	var high, mean, low []string
	for from := 0; from+plotWindow <= len(r.loads); from += plotWindow {
		s := span{r, from, from + plotWindow}
		bottom, top := s.bounds()
		sum := 0.
		for _, loads := range r.loads[s.from:s.to] {
			sum += extentOf(loads).mean
		}
		x := across(time.Duration(from) * time.Second)
		point := func(load float64) string { return fmt.Sprintf("%.1f %.1f", x, math.Round(10*p.up(load))/10) }
		high, mean, low = append(high, point(top)), append(mean, point(sum/plotWindow)), append([]string{point(bottom)}, low...)
	}
	fmt.Fprintf(b, `<path fill="#8fbbe8" fill-opacity=".8" d="M%s L%s Z"/>`+"\n", strings.Join(high, "L"), strings.Join(low, "L"))
	fmt.Fprintf(b, `<path fill="none" stroke="#0b3d91" stroke-width="1.5" d="M%s"/>`+"\n", strings.Join(mean, "L"))
}
