import MQLock
import MQLockRabbitMQ

/// `mqlock break`: asks the holder to yield; when it does not answer, has the broker close its connection, or says how.
struct LockBreak: Sendable {
    let options: SeeingOptions
    let inspector: RabbitMQInspector
    let vhost: String
    let management: ManagementAPI?
    let report: SeeingReport

    private var name: LockName { options.name }

    /// - Returns: the exit status.
    func run() async throws(LockError) -> Int32 {
        let view = try await inspector.view(name, within: options.patience)
        report.show(view)
        if case .free = view.state {
            return refuse("free", "the lock \(name) is free: there is nothing to break", ExitStatus.conflict)
        }
        guard options.confirmed else {
            return refuse(
                "unconfirmed", "nothing is broken yet: say --yes to take the lock \(name) from its holder",
                ExitStatus.usage)
        }
        guard let holder = view.holders.first, let token = holder.fencingToken else {
            return try await breakSilent(view, holder: nil)
        }
        switch try await inspector.askToYield(name, token: token, within: options.patience) {
        case .yielding(let holder):
            report.tell(
                "yielding",
                "\(holder.owner.escapedForDisplay) has lost the lock; it is handed on when the holder has stopped")
            return ExitStatus.success
        case .refused(let reason):
            return refuse("refused", "the holder refuses: \(reason.escapedForDisplay)", ExitStatus.noPermission)
        case .silent: return try await breakSilent(view, holder: holder)
        }
    }

    private func breakSilent(_ view: LockView, holder: LockContender?) async throws(LockError) -> Int32 {
        guard let management else {
            let advice = """
                the holder of \(name) does not answer, so it cannot yield. Whoever administers the broker can close its \
                connection, and with it all its locks: give --management http://USER:PASSWORD@HOST:15672, or run

                \(Self.commands(session: holder?.session, name: name, vhost: vhost))
                """
            return refuse("silent", advice, ExitStatus.conflict)
        }
        let answered = Set((view.holders + view.waiters).map(\.session)).subtracting([holder?.session ?? ""])
        let silent = SilentHolder(name: name, vhost: vhost, session: holder?.session, answered: answered)
        switch try await silent.find(management) {
        case .found(let connection):
            try await management.close(connection.name, reason: "the lock \(name) was broken by an operator")
            report.tell(
                "closed",
                """
                closed the connection \(connection.shown): its locks are handed on. Should that program go on before it \
                notices, fencing tokens are what stops it
                """)
            return ExitStatus.success
        case .unknown(let why):
            let advice = """
                \(why). The commands that close a connection by hand:

                \(Self.commands(session: holder?.session, name: name, vhost: vhost))
                """
            return refuse("silent", advice, ExitStatus.conflict)
        }
    }

    private func refuse(_ event: String, _ words: String, _ status: Int32) -> Int32 {
        report.tell(event, words, status: status)
        return status
    }

    /// What an operator types; whatever comes from others is quoted.
    static func commands(session: String?, name: LockName, vhost: String) -> String {
        var lines: [String] = []
        if session == nil {
            lines += [
                "  # who listens for the lock; SESSION is the end of the queue's name, mqlock.v1.control/SESSION",
                "  rabbitmqctl -p \(quoted(vhost)) list_bindings destination_name routing_key | grep -F "
                    + quoted(name.string.percentEncoded),
            ]
        }
        return
            (lines + [
                "  rabbitmqctl list_connections pid client_properties | grep 'locks \(session ?? "SESSION")'",
                "  rabbitmqctl close_connection PID 'lock broken by an operator'",
            ]).joined(separator: "\n")
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.escapedForDisplay.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
            + "'"
    }
}
