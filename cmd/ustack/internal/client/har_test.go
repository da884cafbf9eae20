package client

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"testing"
	"time"
)

// harFieldsOf are the fields that HAR 1.2 does not call optional, by object.
var harFieldsOf = map[string][]string{
	"log":      {"version", "creator", "entries"},
	"creator":  {"name", "version"},
	"entry":    {"startedDateTime", "time", "request", "response", "cache", "timings"},
	"request":  {"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"},
	"response": {"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize", "bodySize"},
	"content":  {"size", "mimeType"},
	"timings":  {"send", "wait", "receive"},
}

type jsonObject = map[string]any

// child is a field that must be an object with all that HAR wants there.
func child(t *testing.T, of jsonObject, name, kind string) jsonObject {
	t.Helper()
	o, _ := of[name].(jsonObject)
	complete(t, o, kind)
	return o
}

func complete(t *testing.T, o jsonObject, kind string) {
	t.Helper()
	for _, f := range harFieldsOf[kind] {
		if v, ok := o[f]; !ok || v == nil {
			t.Errorf("%s lacks %s: %v", kind, f, o)
		}
	}
}

func harOf(t *testing.T, report *Report) []jsonObject {
	t.Helper()
	var out bytes.Buffer
	if err := WriteHAR(&out, report); err != nil {
		t.Fatal(err)
	}
	var doc jsonObject
	if err := json.Unmarshal(out.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	log := child(t, doc, "log", "log")
	child(t, log, "creator", "creator")
	if log["version"] != "1.2" {
		t.Errorf("version %v", log["version"])
	}
	var list []jsonObject
	for _, e := range log["entries"].([]any) {
		list = append(list, e.(jsonObject))
	}
	return list
}

func checkEntry(t *testing.T, e jsonObject) {
	t.Helper()
	complete(t, e, "entry")
	child(t, e, "request", "request")
	child(t, child(t, e, "response", "response"), "content", "content")
	if _, err := time.Parse(time.RFC3339Nano, fmt.Sprint(e["startedDateTime"])); err != nil {
		t.Error(err)
	}
	sum := 0.0
	for name, v := range child(t, e, "timings", "timings") {
		d := v.(float64)
		if d < 0 && (d != -1 || name == "send" || name == "wait" || name == "receive") {
			t.Errorf("timing %s is %v", name, d)
		}
		sum += max(d, 0)
	}
	if math.Abs(sum-e["time"].(float64)) > 1e-6 {
		t.Errorf("time is %v, the timings make %v", e["time"], sum)
	}
}

func TestHAR(t *testing.T) {
	for name, report := range map[string]*Report{
		"serial": serialReport(), "pipelined": pipelinedReport(), "failed": failedReport(), "none": reportOf(ms, 0),
	} {
		t.Run(name, func(t *testing.T) {
			entries := harOf(t, report)
			if len(entries) != len(report.Results) {
				t.Errorf("%d entries of %d results", len(entries), len(report.Results))
			}
			last := ""
			for _, e := range entries {
				checkEntry(t, e)
				if at := fmt.Sprint(e["startedDateTime"]); at < last && len(at) == len(last) {
					t.Errorf("%s comes after %s", at, last)
				} else {
					last = at
				}
			}
		})
	}
}

func TestHARValues(t *testing.T) {
	r := object(3, 2, 5, 20*ms, 10*ms, 12*ms, 8*ms)
	r.Exchange = &Exchange{
		Request: http.Header{"Host": {"10.90.0.2"}}, Status: "301 Moved Permanently", Server: "10.90.0.2:80", Sent: 7,
		Response: http.Header{"Content-Type": {"image/svg+xml"}, "Location": {"/x"}},
	}
	e := harOf(t, reportOf(100*ms, 2, r))[0]
	checkEntry(t, e)
	for _, tt := range []struct {
		got  any
		want string
	}{
		{e["time"], "30"}, {e["connection"], "2"}, {e["serverIPAddress"], "10.90.0.2"}, {e["_requestOnConnection"], "5"},
		{e["startedDateTime"], "2027-01-15T08:00:00.02Z"},
		{e["timings"], "map[blocked:-1 connect:10 dns:-1 receive:8 send:0 ssl:-1 wait:12]"},
		{e["request"].(jsonObject)["headers"], "[map[name:Host value:10.90.0.2]]"},
		{e["request"].(jsonObject)["queryString"], "[map[name:size value:2000]]"},
		{e["request"].(jsonObject)["bodySize"], "7"},
		{e["response"].(jsonObject)["statusText"], "Moved Permanently"},
		{e["response"].(jsonObject)["redirectURL"], "/x"},
		{e["response"].(jsonObject)["content"], "map[mimeType:image/svg+xml size:2000]"},
	} {
		if fmt.Sprint(tt.got) != tt.want {
			t.Errorf("%v, want %s", tt.got, tt.want)
		}
	}
}
