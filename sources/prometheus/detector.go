package prometheus

const minBaseline = 20 // samples; fewer say nothing about what is usual
