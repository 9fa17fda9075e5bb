import MQLock

/// The options of `mqlock fence`.
struct FenceOptions: Equatable {
    enum Action: String, CaseIterable {
        case check, show
    }

    var action: Action
    var file: String
    /// nil: the environment's.
    var name: LockName?
    var fence: FencingToken?
    /// How far a token may be ahead of the clock; nil: without a limit.
    var lead: Duration? = .seconds(24 * 60 * 60)
    var staleStatus = ExitStatus.stale
    var json = false
    /// Empty: only check.
    var command: [String] = []
}

extension FenceOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        let actions = Action.allCases.map(\.rawValue)
        guard let word = words.operands.first else {
            throw Self.usage("say what to do: \(actions.map { "fence \($0) FILE" }.joined(separator: ", "))")
        }
        guard let action = Action(rawValue: word) else {
            throw Self.usage(
                "'fence \(word.escapedForDisplay)' is unknown\(Suggestion.phrase(for: word, among: actions))")
        }
        self.action = action
        guard words.operands.count > 1, !words.operands[1].isEmpty else {
            throw Self.usage("the gate's file is needed: mqlock fence \(action.rawValue) FILE")
        }
        guard words.operands.count == 2 else {
            throw Self.usage(
                "one file is needed, not also '\(words.operands[2].escapedForDisplay)'; a command goes behind '--'")
        }
        file = words.operands[1]
        if let command = words.command {
            guard action == .check else { throw Self.usage("fence show runs no command") }
            guard let program = command.first, !program.isEmpty else {
                throw Self.usage("the command to run is needed, behind '--'")
            }
            self.command = command
        }
        if action == .show {
            for (key, option) in [
                (OptionDescriptor.Key.fence, "--fence"), (.name, "--name"), (.lead, "--lead"), (.conflictStatus, "-E"),
            ]
            where words.has(key) {
                throw Self.usage("fence show takes no \(option)")
            }
        }
        if let text = words.values[.name] { name = try Self.name(text, "--name") }
        if let text = words.values[.fence] { fence = try Self.token(text, "--fence") }
        if let text = words.values[.lead] {
            lead = text == "none" ? nil : DurationText.parse(text)
            guard lead != nil || text == "none" else {
                throw Self.usage(
                    "--lead needs none, or a duration such as \(DurationText.accepted), not '\(text.escapedForDisplay)'"
                )
            }
        }
        if let text = words.values[.conflictStatus] {
            guard let status = Int32(text), (0...255).contains(status) else {
                throw Self.usage("-E needs an exit status of 0 to 255, not '\(text.escapedForDisplay)'")
            }
            staleStatus = status
        }
        json = words.has(.json)
    }

    /// The lock's name for a gate without names: one file is then for one lock.
    static let unnamed: LockName = "(unnamed)"

    /// Token and lock, from the options or from the environment that `mqlock run` gives its command.
    func presented(environment: (String) -> String?) throws(CommandFailure) -> (token: FencingToken, name: LockName) {
        let token: FencingToken
        if let fence {
            token = fence
        } else {
            guard let text = environment(Variable.fence) else {
                throw Self.usage("no token: give --fence N, or run under 'mqlock run', which sets \(Variable.fence)")
            }
            token = try Self.token(text, Variable.fence)
        }
        if let name { return (token, name) }
        guard let text = environment(Variable.name) else { return (token, Self.unnamed) }
        return (token, try Self.name(text, Variable.name))
    }

    /// The variables that `mqlock run` adds to the environment of its command.
    enum Variable {
        static let fence = "MQLOCK_FENCE"
        static let name = "MQLOCK_NAME"
    }

    private static func token(_ text: String, _ source: String) throws(CommandFailure) -> FencingToken {
        guard let token = FencingToken(text) else {
            let shown = String(text.prefix(40)).escapedForDisplay
            throw usage("\(source) needs a fencing token, a decimal number below 2^63, not '\(shown)'")
        }
        return token
    }

    private static func name(_ text: String, _ source: String) throws(CommandFailure) -> LockName {
        do throws(LockError) {
            return try LockName(text)
        } catch {
            throw usage("\(source): \(error.message)")
        }
    }

    static func usage(_ message: String) -> CommandFailure { .usage(message, CommandDescriptor.fence.name) }
}
