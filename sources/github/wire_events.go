package github

import (
	"cmp"
	"time"
)

type comparison struct {
	Status       string `json:"status"`
	AheadBy      int    `json:"ahead_by"`
	TotalCommits int    `json:"total_commits"`
	Commits      []struct {
		SHA    string `json:"sha"`
		Commit struct {
			Message   string `json:"message"`
			Committer struct {
				Name string `json:"name"`
				Date stamp  `json:"date"`
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
	Number   int    `json:"number"`
	Title    string `json:"title"`
	HTMLURL  string `json:"html_url"`
	Merged   bool   `json:"merged"` // webhooks only: the list has merged_at alone
	MergedAt stamp  `json:"merged_at"`
	MergeSHA string `json:"merge_commit_sha"` // set on unmerged ones too
	Base     struct {
		Ref string `json:"ref"`
	} `json:"base"`
	MergedBy user `json:"merged_by"`
	User     user `json:"user"`
	Added    int  `json:"additions"`
	Deleted  int  `json:"deletions"`
	Changed  int  `json:"changed_files"`
}

// activity is one entry of a repository's activity list: who moved which branch from where to where, and exactly when.
type activity struct {
	ID        int64  `json:"id"`
	Before    string `json:"before"`
	After     string `json:"after"`
	Ref       string `json:"ref"`
	Timestamp stamp  `json:"timestamp"`
	Type      string `json:"activity_type"`
	Actor     user   `json:"actor"`
}

type repository struct {
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
	PushedAt      stamp  `json:"pushed_at"`
}

// delivery is one webhook body: whatever of these the event carries.
type delivery struct {
	Action     string     `json:"action"`
	Repository repository `json:"repository"`

	Deployment       deployment       `json:"deployment"`
	DeploymentStatus deploymentStatus `json:"deployment_status"`
	Workflow         workflow         `json:"workflow"`
	WorkflowRun      workflowRun      `json:"workflow_run"`
	WorkflowJob      workflowJob      `json:"workflow_job"`
	Release          release          `json:"release"`
	PullRequest      pull             `json:"pull_request"`

	Ref        string       `json:"ref"`
	Before     string       `json:"before"`
	After      string       `json:"after"`
	Deleted    bool         `json:"deleted"`
	Forced     bool         `json:"forced"`
	Commits    []pushCommit `json:"commits"`
	HeadCommit pushCommit   `json:"head_commit"`
	Sender     user         `json:"sender"`
}

type pushCommit struct {
	Message  string   `json:"message"`
	Added    []string `json:"added"`
	Removed  []string `json:"removed"`
	Modified []string `json:"modified"`
}

type release struct {
	ID              int64  `json:"id"`
	TagName         string `json:"tag_name"`
	Name            string `json:"name"`
	TargetCommitish string `json:"target_commitish"`
	Draft           bool   `json:"draft"`
	Prerelease      bool   `json:"prerelease"`
	HTMLURL         string `json:"html_url"`
	PublishedAt     stamp  `json:"published_at"`
	Author          user   `json:"author"`
}

// at is when it was published; zero while it is a draft.
func (r *release) at() time.Time { return r.PublishedAt.Time }

// actor is the link to a person's or bot's page; never a name.
func actor(users ...user) string {
	for _, u := range users {
		if l := link(cmp.Or(u.HTMLURL, "")); l != "" {
			return l
		}
	}
	return ""
}
