// Package scenario builds case files from a short description of an incident: services and who calls whom, the changes of the
// hour, which signals of which service went bad from when, and the alert that fired. It makes the metrics, with noise, from a
// seed; it knows nothing of how changes are ranked and must not import anything that does.
package scenario
