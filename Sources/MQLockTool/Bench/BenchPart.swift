/// The parts of a benchmark, in the order in which they run.
enum BenchPart: String, CaseIterable {
    case uncontended
    case handOver = "hand-over"
    case tasks
    case firstUse = "first-use"
    case loss
    case recovery
}
