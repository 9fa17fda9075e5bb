/// The options of `mqlock elect`: the same as of `run`, with a candidate instead of a lock.
struct ElectOptions: Equatable {
    var run: RunOptions
    /// Whether a command that has failed is started again, here or by another candidate.
    var restart = false
}

extension ElectOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        run = try RunOptions(words, .elect)
        restart = words.has(.restart)
    }
}
