import MQLock

/// The options of `gc`.
struct CleanOptions: Equatable {
    var pattern: NamePattern
    /// Whether to do it, or only to report what would be done.
    var confirmed = false
    var json = false
    var broker = BrokerSource.environment
    var management: String?
}

extension CleanOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        func usage(_ message: String) -> CommandFailure { .usage(message, CommandDescriptor.clean.name) }

        guard words.command == nil else { throw usage("gc runs no command") }
        guard let operand = words.operands.first else {
            throw usage("missing pattern of names; '*' stands for all of them")
        }
        guard words.operands.count == 1 else {
            throw usage("one pattern is enough, not also '\(words.operands[1].escapedForDisplay)': quote it")
        }
        pattern = NamePattern(operand)
        confirmed = words.has(.yes)
        json = words.has(.json)
        management = words.values[.management]
        broker = try BrokerSource(words, .clean)
    }
}
