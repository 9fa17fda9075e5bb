import MQLock
import MQLockRabbitMQ

/// `mqlock break`: asks all contenders that say that they hold the lock to yield. If that does not help, it has the
/// broker close the connection that the broker itself names as the lock's, or says how to do it.
struct LockBreak: Sendable {
    let options: InspectionOptions
    let inspector: RabbitMQInspector
    let vhost: String
    let management: ManagementAPI?
    let report: InspectionReport

    private var name: LockName { options.name }
    /// A session answers two hundred questions at once.
    private static let maximumAsked = 100

    /// - Returns: the exit status.
    func run() async throws(LockError) -> Int32 {
        let view = try await inspector.view(name, within: options.patience)
        try NamePattern.refuseUnused(view)
        report.show(view)
        if case .free = view.state { return refuseFree() }
        guard options.confirmed else {
            return refuse(
                "unconfirmed", "nothing is broken yet: say --yes to take the lock \(name) from its holder",
                ExitStatus.usage)
        }
        let claims = Self.asked(view.holders)
        var outcome = Outcome()
        if !claims.isEmpty {
            outcome = Outcome(
                claims, try await inspector.askToYield(name, claims: claims, within: options.patience))
        }
        report.tell(outcome)
        let silent = SilentHolder(
            name: name, vhost: vhost, answered: outcome.speakers.union(view.waiters.map(\.speaker)))
        if !outcome.yielded.isEmpty { return await confirm(silent) }
        if let management { return try await force(silent, management, outcome) }
        let advice = """
            Whoever administers the broker can close the holder's connection, and with it all its locks: give \
            --management http://USER:PASSWORD@HOST:15672, or run
            """
        guard outcome.refusals.isEmpty else {
            return refuse("the lock \(name) is not given up. \(advice)", ExitStatus.noPermission)
        }
        if view.isFreeAtBroker { return refuseFree() }
        return refuse("the holder of \(name) does not answer, so it cannot yield. \(advice)", ExitStatus.conflict)
    }

    /// The holders to ask: of every user in turn, so that one user's many claims do not keep another user's from being
    /// asked.
    static func asked(_ holders: [LockContender]) -> [LockContender] {
        var turns: [String?: Int] = [:]
        let ranked = holders.map { holder in
            turns[holder.user, default: 0] += 1
            return (turn: turns[holder.user] ?? 0, holder: holder)
        }
        // `sorted` keeps the order of equals.
        return ranked.sorted { $0.turn < $1.turn }.prefix(maximumAsked).map(\.holder)
    }

    /// A contender says that it has yielded. Where the broker can be asked, it has to have been the holder.
    private func confirm(_ silent: SilentHolder) async -> Int32 {
        guard let management, let finding = try? await silent.look(management), case .silent(let connection) = finding
        else { return ExitStatus.success }
        return refuse(
            "unyielding",
            """
            by the broker's word the lock is carried by \(connection.shown), which has not answered: ask again with \
            'mqlock show', and break again if it is still silent
            """, ExitStatus.conflict)
    }

    private func force(
        _ silent: SilentHolder, _ management: ManagementAPI, _ outcome: Outcome
    ) async throws(LockError) -> Int32 {
        switch try await silent.find(management) {
        case .silent(let connection):
            try await management.close(connection.name, reason: "the lock \(name) was broken by an operator")
            report.tell(
                "closed",
                """
                closed the connection \(connection.shown): its locks are handed on. Should that program go on before it \
                notices, fencing tokens are what stops it
                """)
            return ExitStatus.success
        case .alive(let connection):
            if !outcome.refusals.isEmpty { return ExitStatus.noPermission }
            return refuse(
                "unyielding",
                "the lock changes hands: the broker names \(connection.shown), which answers; break again",
                ExitStatus.conflict)
        case .unknown(let why):
            if !outcome.refusals.isEmpty { return ExitStatus.noPermission }
            return refuse("\(why). The commands that close a connection by hand:", ExitStatus.conflict)
        }
    }

    // MARK: Refusing

    private func refuseFree() -> Int32 {
        refuse("free", "the lock \(name) is free: there is nothing to break", ExitStatus.conflict)
    }

    /// With the commands that do by hand what is refused.
    private func refuse(_ words: String, _ status: Int32) -> Int32 {
        let commands = (try? LockObjects(name, vhost: vhost)).map { Self.commands($0, vhost: vhost) } ?? ""
        return refuse("silent", "\(words)\n\n\(commands)", status)
    }

    private func refuse(_ event: String, _ words: String, _ status: Int32) -> Int32 {
        report.tell(event, words, status: status)
        return status
    }

    /// What an operator types. Only the broker says who has the lock, no answer does. Text from others is quoted.
    static func commands(_ objects: LockObjects, vhost: String) -> String {
        let (queue, register, vhost) = (quoted(objects.queue), quoted(objects.register), quoted(vhost))
        return """
              # the connection that owns the lock's queue; none: the channels that consume it or stand on its register
              rabbitmqctl -q -p \(vhost) list_queues name owner_pid | Q=\(queue) awk -F '\\t' '$1 == ENVIRON["Q"]'
              rabbitmqctl -q -p \(vhost) list_consumers queue_name channel_pid active | Q=\(queue) R=\(register) awk -F '\\t' '$1 == ENVIRON["Q"] || $1 == ENVIRON["R"]'
              # of those channels, the one with a message that is not acknowledged; CONNECTION is the first word of its line
              rabbitmqctl -q -p \(vhost) list_channels connection pid messages_unacknowledged | grep -F CHANNEL
              rabbitmqctl close_connection CONNECTION 'lock broken by an operator'
            """
    }

    private static func quoted(_ text: String) -> String {
        "'" + text.escapedForDisplay.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''")
            + "'"
    }
}

extension LockBreak {
    /// The answers of the claimed holders.
    struct Outcome: Sendable {
        var yielded: [LockContender] = []
        var refusals: [(claim: LockContender, reason: String)] = []
        var silent: [LockContender] = []

        init() {}

        init(_ claims: [LockContender], _ answers: [YieldAnswer]) {
            for (claim, answer) in zip(claims, answers) {
                switch answer {
                case .yielding(let holder): yielded.append(holder)
                case .refused(let reason): refusals.append((claim, reason))
                case .silent: silent.append(claim)
                }
            }
        }

        /// Who is alive.
        var speakers: Set<LockContender.Speaker> { Set((yielded + refusals.map(\.claim)).map(\.speaker)) }
    }
}
