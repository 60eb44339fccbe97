package github

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"
)

// The wire types are go-github's, with the fields that came after v60 or that it leaves out.

type deployment struct {
	github.Deployment
	Transient  bool           `json:"transient_environment"`
	Production bool           `json:"production_environment"`
	Via        *performingApp `json:"performed_via_github_app"`
}

type performingApp struct {
	Slug string `json:"slug"`
}

const actionsBot = "github-actions[bot]"

// byActions reports whether GitHub Actions made the deployment. Such a one may wait for an approval first, and always says when it
// runs; of all others the creation is the best start we know.
func (d *deployment) byActions() bool {
	return d.GetCreator().GetLogin() == actionsBot || d.Via != nil && d.Via.Slug == "github-actions"
}

// payload is what the deployer attached: an object, an object in a string, or text, which is none.
func (d *deployment) payload() map[string]any {
	raw := d.Payload
	var s string
	if json.Unmarshal(raw, &s) == nil {
		raw = json.RawMessage(s)
	}
	var m map[string]any
	if json.Unmarshal(raw, &m) != nil {
		return nil
	}
	return m
}

// lookup walks a dotted path to a string; "" when there is none.
func lookup(m map[string]any, path string) string {
	if path == "" {
		return ""
	}
	key, rest, deeper := strings.Cut(path, ".")
	switch v := m[key].(type) {
	case string:
		if !deeper {
			return clean(v)
		}
	case map[string]any:
		if deeper {
			return lookup(v, rest)
		}
	}
	return ""
}

type workflowRun struct {
	github.WorkflowRun
	Path string `json:"path"`
}

// file is the workflow's path, without the ref that GitHub appends for reusable ones.
func (w *workflowRun) file() string {
	p, _, _ := strings.Cut(w.Path, "@")
	return p
}

// start is when this attempt began to run.
func (w *workflowRun) start() time.Time {
	if t := w.GetRunStartedAt(); !t.IsZero() {
		return t.Time
	}
	return w.GetCreatedAt().Time
}

type workflowJob struct {
	github.WorkflowJob
}

type comparison struct {
	Status       string `json:"status"`
	AheadBy      int    `json:"ahead_by"`
	TotalCommits int    `json:"total_commits"`
	Commits      []struct {
		SHA    string `json:"sha"`
		Commit struct {
			Message   string `json:"message"`
			Committer struct {
				Name string    `json:"name"`
				Date time.Time `json:"date"`
			} `json:"committer"`
		} `json:"commit"`
	} `json:"commits"`
	Files []struct {
		Filename  string `json:"filename"`
		Previous  string `json:"previous_filename"`
		Additions int    `json:"additions"`
		Deletions int    `json:"deletions"`
	} `json:"files"`
}

// maxFiles is how many files GitHub names in one comparison; as many as that may be a part.
const maxFiles = 300

// paths are the files touched, both names of a renamed one.
func (c *comparison) paths() []string {
	out := make([]string, 0, len(c.Files))
	for _, f := range c.Files {
		out = append(out, f.Filename)
		if f.Previous != "" && f.Previous != f.Filename {
			out = append(out, f.Previous)
		}
	}
	return out
}

func (c *comparison) lines() int {
	n := 0
	for _, f := range c.Files {
		n += f.Additions + f.Deletions
	}
	return n
}

// pull is the little we keep of a pull request. No author: people are not part of the ranking.
type pull struct {
	Number   int        `json:"number"`
	Title    string     `json:"title"`
	HTMLURL  string     `json:"html_url"`
	Merged   bool       `json:"merged"` // webhooks only: the list has merged_at alone
	MergedAt *time.Time `json:"merged_at"`
	MergeSHA string     `json:"merge_commit_sha"` // set on unmerged ones too
	Base     struct {
		Ref string `json:"ref"`
	} `json:"base"`
	MergedBy *github.User `json:"merged_by"`
	User     *github.User `json:"user"`
	Added    int          `json:"additions"`
	Deleted  int          `json:"deletions"`
	Changed  int          `json:"changed_files"`
}

// activity is one entry of a repository's activity list: who moved which branch from where to where, and exactly when.
type activity struct {
	ID        int64        `json:"id"`
	Before    string       `json:"before"`
	After     string       `json:"after"`
	Ref       string       `json:"ref"`
	Timestamp time.Time    `json:"timestamp"`
	Type      string       `json:"activity_type"`
	Actor     *github.User `json:"actor"`
}

// delivery is one webhook body: whatever of these the event carries.
type delivery struct {
	Action     string             `json:"action"`
	Repository *github.Repository `json:"repository"`

	Deployment       *deployment              `json:"deployment"`
	DeploymentStatus *github.DeploymentStatus `json:"deployment_status"`
	Workflow         *github.Workflow         `json:"workflow"`
	WorkflowRun      *workflowRun             `json:"workflow_run"`
	WorkflowJob      *workflowJob             `json:"workflow_job"`
	Release          *release                 `json:"release"`
	PullRequest      *pull                    `json:"pull_request"`

	Ref        string               `json:"ref"`
	Before     string               `json:"before"`
	After      string               `json:"after"`
	Created    bool                 `json:"created"`
	Deleted    bool                 `json:"deleted"`
	Forced     bool                 `json:"forced"`
	Compare    string               `json:"compare"`
	Commits    []pushCommit         `json:"commits"`
	HeadCommit *pushCommit          `json:"head_commit"`
	Sender     *github.User         `json:"sender"`
	Pusher     *github.CommitAuthor `json:"pusher"`
}

// fill puts an empty value where the event carries none, so that readers need not ask.
func (d *delivery) fill() {
	d.Deployment = cmp.Or(d.Deployment, &deployment{})
	d.WorkflowRun = cmp.Or(d.WorkflowRun, &workflowRun{})
	d.WorkflowJob = cmp.Or(d.WorkflowJob, &workflowJob{})
	d.PullRequest = cmp.Or(d.PullRequest, &pull{})
	d.Release = cmp.Or(d.Release, &release{})
}

type pushCommit struct {
	ID        string           `json:"id"`
	Message   string           `json:"message"`
	Timestamp github.Timestamp `json:"timestamp"`
	Added     []string         `json:"added"`
	Removed   []string         `json:"removed"`
	Modified  []string         `json:"modified"`
}

type release struct {
	ID              int64             `json:"id"`
	TagName         string            `json:"tag_name"`
	Name            string            `json:"name"`
	TargetCommitish string            `json:"target_commitish"`
	Draft           bool              `json:"draft"`
	Prerelease      bool              `json:"prerelease"`
	HTMLURL         string            `json:"html_url"`
	CreatedAt       *github.Timestamp `json:"created_at"`
	PublishedAt     *github.Timestamp `json:"published_at"`
	Author          *github.User      `json:"author"`
}

// at is when it was published; zero while it is a draft.
func (r *release) at() time.Time {
	if r.PublishedAt == nil {
		return time.Time{}
	}
	return r.PublishedAt.Time
}

// actor is the link to a person's or bot's page; never a name.
func actor(users ...*github.User) string {
	for _, u := range users {
		if l := link(cmp.Or(u.GetHTMLURL(), "")); l != "" {
			return l
		}
	}
	return ""
}
