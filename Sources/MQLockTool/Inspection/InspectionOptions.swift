import MQLock

/// The options of `show`, `observe` and `break`.
struct InspectionOptions: Equatable {
    var name: LockName
    /// How long to wait for answers.
    var patience: Duration
    /// How long to try to read a log, in which no process has to answer.
    var reading = RunBroker.patience
    var json = false
    var broker = BrokerSource.environment
    /// `break` only: whether to do it, and the broker's management API.
    var confirmed = false
    var management: String?
}

extension InspectionOptions {
    init(_ words: ReadArguments, _ descriptor: CommandDescriptor, patience: Duration) throws(CommandFailure) {
        func usage(_ message: String) -> CommandFailure { .usage(message, descriptor.name) }

        guard words.command == nil else { throw usage("\(descriptor.name) runs no command") }
        guard let operand = words.operands.first else { throw usage("the lock's name is needed") }
        guard words.operands.count == 1 else {
            throw usage("one lock name is needed, not also '\(words.operands[1].escapedForDisplay)'")
        }
        do throws(LockError) {
            name = try LockName(operand)
        } catch {
            throw usage(error.message)
        }
        let limit = try Self.patience(words, descriptor)
        self.patience = limit ?? patience
        reading = descriptor.kind == .breaking ? reading : limit ?? reading
        json = words.has(.json)
        confirmed = words.has(.yes)
        management = words.values[.management]
        broker = try BrokerSource(words, descriptor)
    }

    /// The value of -w.
    static func patience(
        _ words: ReadArguments, _ descriptor: CommandDescriptor
    ) throws(CommandFailure) -> Duration? {
        guard let text = words.values[.wait] else { return nil }
        guard let duration = DurationText.parse(text), duration > .zero else {
            throw .usage(
                "-w needs a duration such as \(DurationText.accepted), not '\(text.escapedForDisplay)'",
                descriptor.name)
        }
        return duration
    }
}
