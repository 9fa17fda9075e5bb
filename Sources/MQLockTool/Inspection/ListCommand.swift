import MQLock
import MQLockKafka
import MQLockRabbitMQ

/// The options of `list`.
struct ListOptions: Equatable {
    /// Nil: all locks.
    var pattern: NamePattern?
    /// How long to wait for answers.
    var patience = Duration.seconds(2)
    /// How long to try to read a log, in which no process has to answer.
    var reading = RunBroker.patience
    var json = false
    var broker = BrokerSource.environment
    var management: String?
}

extension ListOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        func usage(_ message: String) -> CommandFailure { .usage(message, CommandDescriptor.list.name) }

        guard words.command == nil else { throw usage("list runs no command") }
        guard words.operands.count <= 1 else {
            throw usage("one pattern is enough, not also '\(words.operands[1].escapedForDisplay)': quote it")
        }
        pattern = words.operands.first.map { NamePattern($0) }
        if let limit = try InspectionOptions.patience(words, .list) { (patience, reading) = (limit, limit) }
        json = words.has(.json)
        management = words.values[.management]
        broker = try BrokerSource(words, .list)
    }
}

/// `mqlock list`: the visible locks that are held or waited for.
struct LockList: Sendable {
    /// Where the locks are.
    private enum Place: Sendable {
        case vhost(String, isManaged: Bool)
        case topic(String)
    }

    /// A lock in use: the answers about it, or nothing.
    private typealias Entry = (name: LockName, view: LockView?)

    private let options: ListOptions
    private let output: Output
    private let place: Place
    private let entries: [Entry]

    init(
        _ options: ListOptions, _ inspector: RabbitMQInspector, management: ManagementAPI?, _ output: Output
    ) async throws(LockError) {
        let vhost = inspector.credentials.vhost
        let views = try await inspector.locks(within: options.patience)
        let inUse = try await management?.locksInUse(vhost: vhost) ?? []
        self.init(options, .vhost(vhost, isManaged: management != nil), views, inUse: inUse, output)
    }

    init(
        _ options: ListOptions, _ inspector: KafkaLockInspector, topic: String, _ output: Output
    ) async throws(LockError) {
        self.init(options, .topic(topic), try await inspector.locks(within: options.reading), output)
    }

    private init(
        _ options: ListOptions, _ place: Place, _ answers: [LockView], inUse: Set<LockName> = [], _ output: Output
    ) {
        var views: [LockName: LockView] = [:]
        for view in answers { views[view.name] = view }
        (self.options, self.place, self.output) = (options, place, output)
        entries = Set(views.keys).union(inUse)
            .filter { options.pattern?.matches($0) ?? true }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            .map { Entry(name: $0, view: views[$0]) }
    }

    /// - Returns: the exit status.
    func tell() -> Int32 {
        for entry in entries { output.standardOutput(options.json ? json(entry) : words(entry)) }
        end()
        return entries.isEmpty ? ExitStatus.conflict : ExitStatus.success
    }

    private func words(_ entry: Entry) -> String {
        guard let view = entry.view else {
            return "\(entry.name)  in use by the broker's word some seconds ago, and nobody answers\n"
        }
        let waiters = view.waiters.count
        let line = waiters == 0 ? "" : "; \(waiters) \(waiters == 1 ? "waiter" : "waiters")"
        guard !view.holders.isEmpty else { return "\(entry.name)  waited for, and no holder answers\(line)\n" }
        return view.holders.map { "\(entry.name)  \(InspectionReport.describe($0))\(line)\n" }.joined()
    }

    private func json(_ entry: Entry) -> String {
        var line = JSONLine("lock")
        line.add("name", entry.name.string)
        line.add("state", entry.view?.holders.isEmpty == false ? "held" : "silent")
        if let view = entry.view {
            line.add("holders", view.holders.count)
            line.add("waiters", view.waiters.count)
            if let holder = view.holders.first {
                line.add("owner", holder.owner)
                // As text, like all tokens.
                line.add("fence", holder.fencingToken?.description)
                line.add("held", holder.duration)
                if holder.tellsPlace {
                    line.add("host", holder.host)
                    line.add("pid", holder.process)
                }
                line.add("user", holder.user)
                line.add("info", holder.info)
            }
        }
        return line.text
    }

    /// With a warning that this may not be the whole truth.
    private func end() {
        var line = JSONLine("listed")
        line.add("locks", entries.count)
        switch place {
        case .topic(let topic):
            line.add("topic", topic)
            if !options.json { output.standardError("mqlock: \(entries.count) in \(topic.escapedForDisplay)\n") }
        case .vhost(let vhost, let isManaged):
            let silent =
                isManaged
                ? "those in both that the broker has not counted yet"
                : "holders that are stopped or cut off (--management finds them)"
            let unseen = "locks of less than 0.1 s, programs that may not or will not answer, \(silent)"
            line.add("vhost", vhost)
            line.add("management", isManaged)
            line.add("unseen", unseen)
            if !options.json {
                output.standardError(
                    "mqlock: \(entries.count) in \(vhost.escapedForDisplay); not seen: \(unseen)\n")
            }
        }
        if options.json { output.standardOutput(line.text) }
    }
}
