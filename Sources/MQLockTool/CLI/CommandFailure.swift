import MQLock

/// Why `mqlock` ends without having done its job: a sentence for stderr and the exit status.
struct CommandFailure: Error, Equatable {
    let status: Int32
    let message: String
    /// The subcommand whose help says more.
    var helpTopic: String?

    static func usage(_ message: String, _ topic: String? = nil) -> Self {
        Self(status: ExitStatus.usage, message: message, helpTopic: topic)
    }

    /// The text for stderr.
    var text: String {
        guard status == ExitStatus.usage else { return "mqlock: \(message)\n" }
        let command = helpTopic.map { " \($0)" } ?? ""
        return "mqlock: \(message)\nTry 'mqlock\(command) --help'.\n"
    }
}

extension CommandFailure {
    /// The failure of a call to the library, or to our own code.
    init(_ error: any Error, _ topic: String? = nil) {
        switch error {
        case let failure as CommandFailure: self = failure
        case let error as LockError:
            self.init(status: ExitStatus.of(error), message: error.message, helpTopic: topic)
        default: self.init(status: ExitStatus.internalError, message: "\(error)", helpTopic: topic)
        }
    }
}
