/// Why `mqlock` ends without having done what it was asked to: a sentence for stderr and the exit status.
struct CommandFailure: Error, Equatable {
    let status: Int32
    let message: String
    /// The subcommand whose help would tell more.
    var helpTopic: String?

    static func usage(_ message: String, _ topic: String? = nil) -> Self {
        Self(status: ExitStatus.usage, message: message, helpTopic: topic)
    }

    /// What goes to stderr.
    var text: String {
        guard status == ExitStatus.usage else { return "mqlock: \(message)\n" }
        let command = helpTopic.map { " \($0)" } ?? ""
        return "mqlock: \(message)\nTry 'mqlock\(command) --help'.\n"
    }
}
