package mapping

import (
	"bytes"
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what SNS signs version 1 with
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// further are the fixtures of the senders that came after the first ones.
var further = map[string]string{
	"atlantis/apply.json":                    `atlantis:acme/infra#42/prod-network/production@2026-03-02T14:30:00Z infra succeeded service=prod-network env=production version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 ?–2026-03-02T14:30:00Z "terraform apply of acme/infra#42 in prod-network"`,
	"aws/appconfig.json":                     `aws:123456789012/eu-west-1/appconfig/ba8toh7/3x0s9/2 config succeeded service=checkout env=production version=7 ?–2026-03-02T14:22:01Z "AppConfig deployment 2"`,
	"aws/cloudformation.json":                `aws:123456789012/eu-west-1/cfn/network/tok1 infra started service=network 2026-03-02T14:21:07Z–? "stack network UPDATE_IN_PROGRESS"`,
	"aws/cloudtrail.sns.json":                `aws:123456789012/eu-west-1/api/ct1 deploy succeeded service=checkout 2026-03-02T14:21:07Z–? "UpdateFunctionCode20150331v2 on lambda.amazonaws.com"`,
	"aws/codedeploy.json":                    `aws:123456789012/eu-west-1/codedeploy/d-123456789 deploy started service=checkout version=d-123456789 2026-03-02T14:21:07Z–? "CodeDeploy checkout to production"`,
	"aws/config.json":                        `aws:123456789012/eu-west-1/config/e6 config succeeded service=orders-db env=production 2026-03-02T14:21:07Z–? "AWS::EC2::SecurityGroup sg-1 changed"`,
	"aws/ecs.json":                           `aws:123456789012/eu-west-1/ecs/ecs-svc/1 deploy succeeded service=checkout ?–2026-03-02T14:22:01Z "ECS deployment of checkout: ECS deployment ecs-svc/1 completed."`,
	"aws/read.json":                          `ignored: a read, or refused`,
	"awx/job_successful.json":                `awx:https://awx.example.com#38 deploy succeeded service=checkout env=production version=v2.31.0 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Deploy checkout (deploy.yml)"`,
	"azure/activity_log.json":                `azure:co2/orders infra started service=orders 2026-03-02T14:21:07Z–? "Microsoft.Sql/servers/databases/write on orders"`,
	"azure/resource_write.json":              `azure:co1/checkout deploy succeeded service=checkout ?–2026-03-02T14:22:01Z "Microsoft.App/containerApps/write on checkout"`,
	"azure-devops/deployment_completed.json": `azure-devops:p1/deployment/77 deploy succeeded service=checkout env=production version=Release-42 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Deployment of release Release-42 on stage Production succeeded."`,
	"azure-devops/stage_build.json":          `ignored: a stage that builds or tests`,
	"azure-devops/stage_state_changed.json":  `azure-devops:118/stage/s1/1 deploy started service=checkout env=production version=20260302.4 2026-03-02T14:21:07Z–? "checkout: Deploy to production"`,
	"bitbucket/build_status.json":            `bitbucket:acme/checkout/9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6/DEPLOY-PROD deploy succeeded service=checkout env=production version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 ?–2026-03-02T14:22:01Z "Deploy to production"`,
	"bitbucket/datacenter.build_status.json": `bitbucket:SHOP/checkout/9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6/deploy deploy started service=checkout version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:21:07Z–? "deploy production"`,
	"bitbucket/push.json":                    `ignored: code, or talk about it: nothing runs yet`,
	"buildkite/build_finished.json":          `buildkite:f62a1b4d deploy succeeded service=checkout env=production version=v2.31.0 sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Price in cents"`,
	"buildkite/build_of_tests.json":          `ignored: a build: neither its pipeline nor its meta-data says deploy`,
	"circleci/job_completed.json":            `circleci:8bd71c28 deploy succeeded service=checkout env=production version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "checkout: deploy-production"`,
	"circleci/workflow_build.json":           `ignored: a job whose name does not say deploy`,
	"configcat/setting_changed.json":         `configcat:08d5/Production/new_pricing@2026-03-02T14:30:00Z flag succeeded env=Production flag=new_pricing from=false to=true reversible=yes 2026-03-02T14:30:00Z–? "flag new_pricing: changed in Production"`,
	"datadog/event.json":                     `datadog:deploy-118 deploy succeeded service=checkout env=production version=v2.31.0 ?–2026-03-02T14:22:01Z "Deployed checkout v2.31.0"`,
	"datadog/event_of_an_alert.json":         `ignored: an event that tells of no change`,
	"devcycle/feature_created.json":          `ignored: a new flag, or its name: nothing changes for users`,
	"devcycle/feature_updated.json":          `devcycle:wh1/production flag succeeded env=production flag=new-pricing to=on reversible=yes 2026-03-02T14:21:07Z–? "flag new-pricing turned on in production"`,
	"env0/deployment_succeeded.json":         `env0:dl1 infra succeeded service=network env=prod-network version=9c1f2be reversible=unknown 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "env0 deploy of prod-network"`,
	"gitea/workflow_run.json":                `gitea:acme/checkout/run/31/1 deploy succeeded service=checkout version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Deploy production"`,
	"google-cloud/audit.json":                `google-cloud:op1 deploy started service=checkout 2026-03-02T14:21:07Z–? "google.cloud.run.v1.Services.ReplaceService namespaces/acme/services/checkout"`,
	"google-cloud/release.json":              `ignored: a release, a job or a phase: the rollout tells of itself`,
	"google-cloud/rollout.json":              `google-cloud:projects/1/locations/europe-west1/deliveryPipelines/checkout/releases/v2-31-0/rollouts/v2-31-0-to-production-0001 deploy started service=checkout env=production version=v2-31-0 2026-03-02T14:21:07Z–? "Cloud Deploy: v2-31-0 to production"`,
	"grafana/annotation.json":                `grafana:2f9b13b5760a3fe8 deploy succeeded service=checkout env=production version=v2.31.0 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Deployed checkout v2.31.0"`,
	"grafana/annotation_of_ours.json":        `ignored: an annotation of our own`,
	"harness/pipeline_success.json":          `harness:pe1 deploy succeeded service=checkout env=production version=v2.31.0 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Deploy checkout"`,
	"netlify/deploy_preview.json":            `ignored: a preview, or the deploy of a branch`,
	"netlify/deploy_succeeded.json":          `netlify:65e3d1 deploy succeeded service=storefront env=production version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 reversible=yes ?–2026-03-02T14:22:01Z "Price in cents"`,
	"newrelic/deployment.json":               `newrelic:checkout/v2.31.0/2026-03-02T14:21:07Z deploy succeeded service=checkout env=production version=v2.31.0 sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 ?–2026-03-02T14:21:07Z "Price in cents"`,
	"octopus/deployment_succeeded.json":      `octopus:Deployments-77 deploy succeeded service=Checkout env=production version=2.31.0 reversible=yes ?–2026-03-02T14:22:01Z "Deploy to Production (#3) for Checkout release 2.31.0 to Production has succeeded"`,
	"openfeature/configuration_changed.json": `openfeature:checkout/new-pricing@2026-03-02T14:21 flag succeeded service=checkout env=production flag=new-pricing reversible=yes 2026-03-02T14:21:07Z–? "flag new-pricing changed"
openfeature:checkout/free-shipping@2026-03-02T14:21 flag succeeded service=checkout env=production flag=free-shipping reversible=yes 2026-03-02T14:21:07Z–? "flag free-shipping changed"`,
	"openfeature/flagd.configuration_change.json": `openfeature:flagd/new-pricing@2026-03-02T14:21 flag succeeded flag=new-pricing reversible=yes 2026-03-02T14:21:07Z–? "flag new-pricing changed in flagd: update"`,
	"optimizely/datafile_updated.json":            `optimizely:1234/production/35 flag succeeded env=production version=35 reversible=yes 2026-03-02T14:21:07Z–? "the flags of production changed: revision 35"`,
	"posthog/flag_updated.json":                   `posthog:al1 flag succeeded flag=new-pricing from=off to=on reversible=yes 2026-03-02T14:21:07Z–? "flag new-pricing turned on"`,
	"posthog/insight_viewed.json":                 `ignored: an activity that changes no flag`,
	"pulumi/preview.json":                         `ignored: a preview: nothing was applied`,
	"pulumi/update_succeeded.json":                `pulumi:acme/network/production/17 infra succeeded service=network env=production version=17 reversible=unknown ?–2026-03-02T14:30:00Z "pulumi update of acme/network/production"`,
	"rundeck/job_success.json":                    `rundeck:https://rundeck.example.com/project/shop/execution/show/118 deploy succeeded service=checkout env=production version=v2.31.0 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "shop/prod/Deploy checkout"`,
	"sentry/deploy.json":                          `sentry:checkout@2.31.0/production/checkout/deploy 118 deploy succeeded service=checkout env=production version=2.31.0 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "deploy 118"`,
	"spacelift/run_finished.json":                 `spacelift:01HQZ8 infra succeeded service=prod-network env=production version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 ?–2026-03-02T14:22:01Z "Raise connection limit"`,
	"spacelift/run_proposed.json":                 `ignored: a proposed run: nothing is applied`,
	"statsig/config_change.json":                  `statsig:new_pricing/1772461267118 flag succeeded env=production flag=new_pricing reversible=yes 2026-03-02T14:21:07Z–? "Gate new_pricing: pass percentage 10 to 100"`,
	"teamcity/build_finished.json":                `teamcity:https://teamcity.example.com/build/9021#9021 deploy succeeded service=checkout env=production version=118 sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Checkout Deploy production #118"`,
	"tekton/pipelinerun.successful.json":          `tekton:ci/deploy-checkout-x7k2p/1f0a deploy succeeded service=checkout env=production version=v2.31.0 2026-03-02T14:21:07Z–2026-03-02T14:22:01Z "Tekton deploy-checkout deploy-checkout-x7k2p"`,
	"tekton/taskrun.started.json":                 `ignored: a task or an event listener: the pipeline run tells of itself`,
	"vercel/deployment_preview.json":              `ignored: a preview`,
	"vercel/deployment_succeeded.json":            `vercel:dpl_1 deploy succeeded service=storefront env=production version=9c1f2be sha=9c1f2be4d0f4a4a5b7a8c5a5e2f1d7c0a9b8e7d6 reversible=yes ?–2026-03-02T14:22:01Z "Price in cents"`,
}

// A list of a time and a body is signed where a sender does so, and an old one is not let in again.
func TestSignedPayload(t *testing.T) {
	const secret, body = "s3cret-of-the-hook", `{"data":[]}`
	s := Scheme{Scheme: "hmac-sha256", Header: "X-Statsig-Signature", Prefix: "v0=", Payload: "v0:{X-Statsig-Request-Timestamp}:{body}"}
	for name, tc := range map[string]struct {
		at time.Time
		ok bool
	}{"now": {time.Now(), true}, "an hour ago": {time.Now().Add(-time.Hour), false}, "ahead": {time.Now().Add(time.Hour), false}} {
		for unit, stamp := range map[string]string{"seconds": strconv.FormatInt(tc.at.Unix(), 10), "milliseconds": strconv.FormatInt(tc.at.UnixMilli(), 10)} {
			h := http.Header{}
			h.Set("X-Statsig-Request-Timestamp", stamp)
			h.Set("X-Statsig-Signature", "v0="+sign(sha256.New, secret, "v0:"+stamp+":"+body))
			if err := Verify([]Scheme{s}, secret, h, []byte(body)); (err == nil) != tc.ok {
				t.Errorf("%s in %s: want accepted %v, got %v", name, unit, tc.ok, err)
			}
			h.Set("X-Statsig-Request-Timestamp", stamp+"1")
			if err := Verify([]Scheme{s}, secret, h, []byte(body)); err == nil {
				t.Errorf("%s: another time is let in under the signature of this one", name)
			}
		}
	}
}

func TestJWS(t *testing.T) {
	const secret, body = "s3cret-of-the-hook", `{"id":"1"}`
	enc := base64.RawURLEncoding.EncodeToString
	jws := func(head, claims, key string) string {
		part := enc([]byte(head)) + "." + enc([]byte(claims))
		mac := hmac.New(sha256.New, []byte(key))
		mac.Write([]byte(part))
		return part + "." + enc(mac.Sum(nil))
	}
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	good := `{"iss":"netlify","sha256":"` + sum(body) + `"}`
	schemes := []Scheme{{Scheme: "jws-sha256", Header: "X-Webhook-Signature"}}
	for name, tc := range map[string]struct {
		token string
		ok    bool
	}{
		"good":       {jws(`{"alg":"HS256"}`, good, secret), true},
		"other key":  {jws(`{"alg":"HS256"}`, good, "x"), false},
		"other body": {jws(`{"alg":"HS256"}`, `{"sha256":"`+sum("{}")+`"}`, secret), false},
		"no sum":     {jws(`{"alg":"HS256"}`, `{}`, secret), false},
		"alg none":   {enc([]byte(`{"alg":"none"}`)) + "." + enc([]byte(good)) + ".", false},
		"alg other":  {jws(`{"alg":"none"}`, good, secret), false},
		"no token":   {"abc", false},
	} {
		h := http.Header{}
		h.Set("X-Webhook-Signature", tc.token)
		if err := Verify(schemes, secret, h, []byte(body)); (err == nil) != tc.ok || err != nil && !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%s: want accepted %v, got %v", name, tc.ok, err)
		}
	}
}

// SNS signs with a certificate of its own host, and the topic must be ours: everybody can have a topic.
func TestSNS(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sns.amazonaws.com"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	c := &certificates{fetch: func(context.Context, string) ([]byte, error) {
		asked++
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
	}}
	const topic, at = "arn:aws:sns:eu-west-1:123456789012:changes", "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-1f0a.pem"
	message := func(version, url string, change func(*snsMessage)) []byte {
		m := snsMessage{Type: "Notification", MessageId: "m1", TopicArn: topic, Message: "{}", Timestamp: "2026-03-02T14:21:07Z", SignatureVersion: version, SigningCertURL: url}
		hash, digest := crypto.SHA256, func() []byte { h := sha256.Sum256([]byte(m.signedText())); return h[:] }
		if version == "1" {
			hash, digest = crypto.SHA1, func() []byte { h := sha1.Sum([]byte(m.signedText())); return h[:] }
		}
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, hash, digest())
		if err != nil {
			t.Fatal(err)
		}
		m.Signature = base64.StdEncoding.EncodeToString(signature)
		if change != nil {
			change(&m)
		}
		out, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	for name, tc := range map[string]struct {
		body  []byte
		topic string
		ok    bool
	}{
		"version 1":       {message("1", at, nil), topic, true},
		"version 2":       {message("2", at, nil), topic, true},
		"another topic":   {message("2", at, nil), topic + "2", false},
		"changed message": {message("2", at, func(m *snsMessage) { m.Message = `{"a":1}` }), topic, false},
		"another host":    {message("2", "https://sns.eu-west-1.amazonaws.com.evil.example/x.pem", nil), topic, false},
		"not over TLS":    {message("2", strings.Replace(at, "https", "http", 1), nil), topic, false},
		"user in the URL": {message("2", "https://sns.eu-west-1.amazonaws.com@evil.example/x.pem", nil), topic, false},
		"version 3":       {message("3", at, nil), topic, false},
		"no JSON":         {[]byte("x"), topic, false},
	} {
		if got := c.fits(tc.topic, tc.body, time.Now()); got != tc.ok {
			t.Errorf("%s: want %v, got %v", name, tc.ok, got)
		}
	}
	if asked != 1 {
		t.Errorf("want the certificate asked for once, not %d times", asked)
	}
	if c.fits(topic, message("2", at, nil), time.Now().Add(48*time.Hour)) {
		t.Error("a certificate out of date is believed")
	}
	if !bytes.Contains(message("2", at, nil), []byte(topic)) {
		t.Error("the message names its topic")
	}
}

// Whatever stands in the headers and the body, nobody gets in without the secret, and nothing breaks.
func FuzzVerify(f *testing.F) {
	f.Add("sha256=00", "v0=00", "a.b.c", "1772461267", []byte(`{"TopicArn":"x","SigningCertURL":"https://sns.eu-west-1.amazonaws.com/x.pem","Signature":"AA==","SignatureVersion":"2"}`))
	f.Add("Bearer x", "", "..", "-1", []byte(`{}`))
	never := &certificates{fetch: func(context.Context, string) ([]byte, error) { return nil, errors.New("not in a test") }}
	schemes := []Scheme{
		{Scheme: "hmac-sha256", Header: "A", Prefix: "sha256="},
		{Scheme: "hmac-sha256", Header: "B", Prefix: "v0=", Payload: "v0:{X-Timestamp}:{body}"},
		{Scheme: "hmac-sha1", Header: "A", Prefix: "sha1="},
		{Scheme: "hmac-named", Header: "A"},
		{Scheme: "jws-sha256", Header: "C"},
		{Scheme: "bearer"},
		{Scheme: "basic"},
	}
	f.Fuzz(func(t *testing.T, a, b, c, at string, body []byte) {
		h := http.Header{"A": {a}, "B": {b}, "C": {c}, "X-Timestamp": {at}, "Authorization": {a}}
		for _, s := range schemes {
			if err := Verify([]Scheme{s}, "a-secret-nobody-guesses-4711", h, body); err == nil {
				t.Fatalf("%+v lets %v in", s, h)
			}
		}
		if never.fits("arn:aws:sns:eu-west-1:123456789012:changes", body, time.Now()) {
			t.Fatal("SNS without a certificate")
		}
	})
}
