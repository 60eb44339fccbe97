// Package mcp answers assistants by the Model Context Protocol: the tools suspects, changes, incident, explain and feedback, and reports
// as resources. It ranks nothing and words nothing itself: every answer is the API's, and it reads only, unless a token may write.
package mcp
