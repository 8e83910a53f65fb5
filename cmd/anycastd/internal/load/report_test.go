package load

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// badReports are bodies, with why they are refused and words that name the place.
func badReports() map[string]refusal {
	return map[string]refusal{
		``:                          {Syntax, `the body is not a JSON object`},
		`null`:                      {Syntax, `it begins with "null"`},
		`[]`:                        {Syntax, `it begins with "[]"`},
		`"gw1"`:                     {Syntax, `the body is not a JSON object`},
		`{`:                         {Syntax, `behind octet 1: the body ends too early`},
		`{"gateway":"gw1"`:          {Syntax, `the body ends too early`},
		`{"gateway":"gw1",}`:        {Syntax, `behind octet`},
		`{"gateway":"gw1" "seq":1}`: {Syntax, `behind octet`},
		`{"gateway":}`:              {Syntax, `behind octet 1`},
		`{gateway:"gw1"}`:           {Syntax, `behind octet 1`},
		`{"gateway":"gw1","sessions":NaN,"seq":1}`:               {Syntax, `invalid character 'N'`},
		`{"gateway":"gw1","sessions":1,"seq":1}{}`:               {Syntax, `there is more behind the JSON object`},
		`{"gateway":"gw1","sessions":1,"seq":1}x`:                {Syntax, `there is more behind the JSON object, from octet 38`},
		`{"seq":1,"sessions":1,"gateway":"a","seq":2}`:           {Syntax, `"seq" stands there twice`},
		`{"gateway":"gw1","sessions":1,"seq":1,"new":0,"new":0}`: {Syntax, `"new" stands there twice`},
		`{"gateway":"gw1","sessions":1,"seq":1,"seq":2}`:         {Syntax, `"seq" stands there twice`},
		`{}`:                                                                     {Figures, `gateway is missing`},
		`{"sessions":1,"seq":1}`:                                                 {Figures, `gateway is missing`},
		`{"gateway":"","sessions":1,"seq":1}`:                                    {Figures, `gateway: "\"\"" is no name`},
		`{"gateway":null,"sessions":1,"seq":1}`:                                  {Figures, `gateway: "null" is no name`},
		`{"gateway":5,"sessions":1,"seq":1}`:                                     {Figures, `gateway: "5" is no name`},
		`{"gateway":"gw1","seq":1}`:                                              {Figures, `sessions is missing`},
		`{"gateway":"gw1","sessions":-1,"seq":1}`:                                {Figures, `sessions: "-1" is not a whole number from 0 to 2147483647`},
		`{"gateway":"gw1","sessions":3.5,"seq":1}`:                               {Figures, `sessions: "3.5" is not a whole number`},
		`{"gateway":"gw1","sessions":1e3,"seq":1}`:                               {Figures, `sessions: "1e3" is not a whole number`},
		`{"gateway":"gw1","sessions":2147483648,"seq":1}`:                        {Figures, `sessions: "2147483648" is not a whole number`},
		`{"gateway":"gw1","sessions":"7","seq":1}`:                               {Figures, `sessions: "\"7\"" is not a whole number`},
		`{"gateway":"gw1","sessions":null,"seq":1}`:                              {Figures, `sessions: "null" is not a whole number`},
		`{"gateway":"gw1","sessions":1,"capacity":-2,"seq":1}`:                   {Figures, `capacity: "-2" is not a whole number`},
		`{"gateway":"gw1","sessions":1,"capacity":[1],"seq":1}`:                  {Figures, `capacity: "[1]" is not a whole number`},
		`{"gateway":"gw1","sessions":1,"cpu":1e999,"seq":1}`:                     {Figures, `cpu: "1e999" is not a number from 0 to 1`},
		`{"gateway":"gw1","sessions":1,"cpu":-1,"seq":1}`:                        {Figures, `cpu: "-1" is not a number from 0 to 1`},
		`{"gateway":"gw1","sessions":1,"cpu":1.01,"seq":1}`:                      {Figures, `cpu: "1.01" is not a number from 0 to 1`},
		`{"gateway":"gw1","sessions":1,"cpu":"x","seq":1}`:                       {Figures, `cpu: "\"x\"" is not a number from 0 to 1`},
		`{"gateway":"gw1","sessions":1,"cpu":null,"seq":1}`:                      {Figures, `cpu: "null" is not a number from 0 to 1`},
		`{"gateway":"gw1","sessions":1,"cpu":"NaN","seq":1}`:                     {Figures, `cpu: "\"NaN\"" is not a number from 0 to 1`},
		`{"gateway":"gw1","sessions":1,"draining":1,"seq":1}`:                    {Figures, `draining: "1" is neither true nor false`},
		`{"gateway":"gw1","sessions":1,"draining":"yes","seq":1}`:                {Figures, `draining: "\"yes\"" is neither true nor false`},
		`{"gateway":"gw1","sessions":1}`:                                         {Figures, `seq is missing`},
		`{"gateway":"gw1","sessions":1,"seq":-1}`:                                {Figures, `seq: "-1" is not the Unix time in milliseconds`},
		`{"gateway":"gw1","sessions":1,"seq":1.5}`:                               {Figures, `seq: "1.5" is not the Unix time in milliseconds`},
		`{"gateway":"gw1","sessions":1,"seq":9007199254740992}`:                  {Figures, `seq: "9007199254740992" is not the Unix time in milliseconds`},
		`{"gateway":"gw1","sessions":1,"seq":"2026-01-01"}`:                      {Figures, `seq: "\"2026-01-01\"" is not the Unix time in milliseconds`},
		`{"gateway":"` + strings.Repeat("[", 3000):                               {Syntax, `the body ends too early`},
		`{"a":` + strings.Repeat("[", 3000):                                      {Syntax, `the body ends too early`},
		`{"gateway":"gw1","sessions":` + strings.Repeat("9", 3000) + `,"seq":1}`: {Figures, `9"… is not a whole number`},
	}
}

func TestBadReportsAreRefusedWithWordsThatNameThePlace(t *testing.T) {
	for body, want := range badReports() {
		r, no := parseReport([]byte(body))
		if no == nil || no.reason != want.reason || !strings.Contains(no.words, want.words) || len(no.words) > 300 {
			t.Errorf("%.80s: want %+v, got %+v, %+v", body, want, no, r)
		}
		if r != (Report{}) {
			t.Errorf("%.80s: want nothing read, got %+v", body, r)
		}
	}
}

func TestGoodReports(t *testing.T) {
	for name, tc := range map[string]struct {
		body string
		want Report
	}{
		"the least": {`{"gateway":"gw1","sessions":0,"seq":0}`, Report{Gateway: "gw1", CPU: -1}},
		"the whole": {`{"gateway":"gw1","sessions":1234,"capacity":20000,"cpu":0.35,"draining":true,"seq":1795563293123}`, Report{"gw1", 1234, 20000, 0.35, true, 1795563293123}},
		"bounds":    {`{"gateway":"gw1","sessions":2147483647,"capacity":0,"cpu":1,"draining":false,"seq":9007199254740991}`, Report{"gw1", math.MaxInt32, 0, 1, false, 1<<53 - 1}},
		"members of tomorrow": {
			` { "queue" : { "a" : [ 1, { "a" : null } ] } , "gateway":"gw1", "sessions":1, "cpu":0e5, "seq":3, "Seq": true } ` + "\n", Report{"gw1", 1, 0, 0, false, 3},
		},
		"escapes": {`{"\u0067ateway":"g\u00fc1","sessions":1,"seq":3}`, Report{"gü1", 1, 0, -1, false, 3}},
	} {
		got, no := parseReport([]byte(tc.body))
		if no != nil {
			t.Errorf("%s: refused: %s", name, no.words)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzReport(f *testing.F) {
	for body := range badReports() {
		f.Add([]byte(body))
	}
	f.Add([]byte(`{"gateway":"gw1","sessions":1234,"capacity":20000,"cpu":0.35,"draining":true,"seq":1795563293123}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, no := parseReport(body)
		if no != nil {
			if no.words == "" || no.reason != Syntax && no.reason != Figures || r != (Report{}) {
				t.Errorf("refusal %+v with %+v", no, r)
			}
			return
		}
		if r.Gateway == "" || r.Sessions < 0 || r.Capacity < 0 || !(r.CPU >= 0 && r.CPU <= 1 || r.CPU == -1) || r.Seq < 0 {
			t.Errorf("got %+v", r)
		}
		again, no := parseReport(r.Append(nil))
		if no != nil || again != r {
			t.Errorf("want %+v again, got %+v, %+v", r, again, no)
		}
	})
}
