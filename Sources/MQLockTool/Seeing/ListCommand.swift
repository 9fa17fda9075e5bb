import MQLock
import MQLockRabbitMQ

/// What `list` was asked to do.
struct ListOptions: Equatable {
    /// Nil: all locks.
    var pattern: NamePattern?
    /// How long to wait for answers.
    var patience = Duration.seconds(2)
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
        patience = try SeeingOptions.patience(words, .list) ?? patience
        json = words.has(.json)
        management = words.values[.management]
        broker = try BrokerSource(words, .list)
    }
}

/// `mqlock list`: the locks that somebody holds or waits for, as far as anybody can see.
struct LockList: Sendable {
    let options: ListOptions
    let inspector: RabbitMQInspector
    let vhost: String
    let management: ManagementAPI?
    let output: Output

    /// A lock in use: what was answered about it, or nothing.
    private typealias Entry = (name: LockName, view: LockView?)

    /// - Returns: the exit status.
    func run() async throws(LockError) -> Int32 {
        var views: [LockName: LockView] = [:]
        for view in try await inspector.locks(within: options.patience) { views[view.name] = view }
        let inUse = try await management?.locksInUse(vhost: vhost) ?? []
        let entries = Set(views.keys).union(inUse)
            .filter { options.pattern?.matches($0) ?? true }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
            .map { Entry(name: $0, view: views[$0]) }
        for entry in entries { output.standardOutput(options.json ? json(entry) : words(entry)) }
        end(entries.count)
        return entries.isEmpty ? ExitStatus.conflict : ExitStatus.success
    }

    private func words(_ entry: Entry) -> String {
        guard let view = entry.view else {
            return "\(entry.name)  in use by the broker's word some seconds ago, and nobody answers\n"
        }
        let waiters = view.waiters.count
        let line = waiters == 0 ? "" : "; \(waiters) \(waiters == 1 ? "waiter" : "waiters")"
        guard !view.holders.isEmpty else { return "\(entry.name)  waited for, and no holder answers\(line)\n" }
        return view.holders.map { "\(entry.name)  \(SeeingReport.describe($0))\(line)\n" }.joined()
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
                // As text, for the reasons of all tokens.
                line.add("fence", holder.fencingToken?.description)
                line.add("held", holder.duration)
                line.add("host", holder.host)
                line.add("pid", holder.process)
                line.add("user", holder.user)
                line.add("info", holder.info)
            }
        }
        return line.text
    }

    /// What nobody should take for the whole truth.
    private func end(_ count: Int) {
        let silent =
            management == nil
            ? "holders that are stopped or cut off (--management finds them)"
            : "those in both that the broker has not counted yet"
        let unseen = """
            locks of less than 0.1 s, programs that may not or will not answer, \(silent)
            """
        guard options.json else {
            return output.standardError("mqlock: \(count) in \(vhost.escapedForDisplay); not seen: \(unseen)\n")
        }
        var line = JSONLine("listed")
        line.add("locks", count)
        line.add("vhost", vhost)
        line.add("management", management != nil)
        line.add("unseen", unseen)
        output.standardOutput(line.text)
    }
}
