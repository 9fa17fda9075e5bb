import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Who holds, who waits, and asking for a lock, against a real broker.
    @Suite struct InspectionTests {}
}

extension LiveBroker {
    func inspector(_ change: (inout RabbitMQLocks.Configuration) -> Void = { _ in }) throws -> RabbitMQInspector {
        var configuration = RabbitMQLocks.Configuration(uri: uri)
        configuration.backoff = .milliseconds(50) ... .milliseconds(500)
        change(&configuration)
        return try RabbitMQInspector(configuration)
    }

    /// Looks until that many contenders answer: they begin to listen a moment after they began to contend.
    func view(
        _ name: LockName, holders: Int, waiters: Int = 0, by inspector: RabbitMQInspector
    ) async throws -> LockView {
        var last: LockView?
        try await eventually("\(holders) holders and \(waiters) waiters of \(name) to be seen") {
            let view = try await inspector.view(name, within: .seconds(2))
            last = view
            return view.holders.count == holders && view.waiters.count == waiters
        }
        return try #require(last)
    }

    /// Has an operator close the connections whose client-given name has this in it; other tests have some, too.
    func closeConnections(_ part: String) async throws {
        for line in try await ctl("-q", "list_connections", "pid", "client_properties").split(separator: "\n")
        where line.contains(part) {
            try await ctl("close_connection", String(line.prefix { $0 != "\t" }), "a test")
        }
    }
}

/// The changes of a lock as they come, for tests to wait for.
private final class Story: Sendable {
    private let changes = Locked<[LockChange]>([])
    private let task = Locked<Task<Void, any Error>?>(nil)

    init(_ inspector: RabbitMQInspector, _ name: LockName) {
        let task = Task {
            for try await change in inspector.changes(of: name) { changes.withLock { $0.append(change) } }
        }
        self.task.withLock { $0 = task }
    }

    deinit { task.withLock { $0?.cancel() } }

    var words: [String] { changes.withLock { $0.map { "\($0.kind) \($0.contender.owner)" } } }

    func wait(for words: String, count: Int = 1) async throws {
        try await eventually("\(words), told so far: \(self.words)") {
            self.words.filter { $0 == words }.count >= count
        }
    }
}

extension LiveBrokerTests.InspectionTests {
    @Test(arguments: [RabbitMQLocks.Mutex.singleActiveConsumer, .token])
    func holderAndWaitersAreSeen(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let inspector = try broker.inspector()
            #expect(try await inspector.view(name).state == .free)
            let providers = try (0..<3).map { index in try broker.locks(mutex: mutex) { $0.owner = "owner \(index)" } }
            let holder = Contender(providers[0], name)
            let lease = try await holder.lease()
            let first = Contender(providers[1], name)
            _ = try await broker.view(name, holders: 1, waiters: 1, by: inspector)
            let second = Contender(providers[2], name)
            let view = try await broker.view(name, holders: 1, waiters: 2, by: inspector)
            #expect(view.state == .held)
            let seen = try #require(view.holders.first)
            #expect(seen.owner == "owner 0")
            #expect(seen.fencingToken == lease.fencingToken)
            #expect(seen.mutex == mutex.description)
            #expect(seen.process == ProcessInfo.processInfo.processIdentifier)
            #expect(seen.duration > .zero && seen.duration < .seconds(300))
            #expect(abs(Double(seen.since) / 1000 + seen.duration.seconds - Date().timeIntervalSince1970) < 60)
            #expect(view.waiters.map(\.owner) == ["owner 1", "owner 2"])
            #expect(view.waiters.allSatisfy { $0.fencingToken == nil })
            #expect(Set((view.holders + view.waiters).map(\.session)).count == 3)
            for contender in [holder, first, second] {
                _ = try await contender.lease()
                #expect(try await contender.release() == nil)
            }
            try await eventually("the lock to be seen free") { try await inspector.view(name).state == .free }
            for locks in providers { await locks.shutdown() }
        }
    }

    /// The lease is lost at once; the lock is the next one's only when the holder has stopped.
    @Test(arguments: [RabbitMQLocks.Mutex.singleActiveConsumer, .token])
    func aHolderYields(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let inspector = try broker.inspector()
            // A long heartbeat: what was left of the proof is not what hands the lock on here.
            let one = try broker.locks("heartbeat=60", mutex: mutex) { $0.owner = "one" }
            let other = try broker.locks("heartbeat=60", mutex: mutex)
            let holder = Contender(one, name)
            let lease = try await holder.lease()
            let (waiter, local) = (Contender(other, name), Contender(one, name))
            _ = try await broker.view(name, holders: 1, waiters: 1, by: inspector)
            let answer = try await inspector.askToYield(name, token: lease.fencingToken)
            guard case .yielding(let contender) = answer else { throw Overdue(what: "\(answer)", limit: .zero) }
            #expect(contender.owner == "one")
            #expect(try await lease.lossReason() == LossReason(.askedToYield, "by the user guest"))
            // Whoever came next would have been granted the lock by now.
            try await Task.sleep(for: .milliseconds(300))
            #expect(waiter.outcome.current == nil)
            #expect(local.outcome.current == nil)
            let error = try #require(try await holder.release())
            #expect(error.lossReason?.kind == .askedToYield)
            for next in [waiter, local] {
                #expect(try await next.lease().fencingToken > lease.fencingToken)
                #expect(try await next.release() == nil)
            }
            await one.shutdown()
            await other.shutdown()
        }
    }

    /// A holder that does not stop keeps the lock from others for no longer than its proof lasts.
    @Test func aHolderThatDoesNotStop() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let inspector = try broker.inspector()
            let (one, other) = (try broker.locks("heartbeat=1"), try broker.locks())
            let holder = Contender(one, name)
            let lease = try await holder.lease()
            let waiter = Contender(other, name)
            _ = try await broker.view(name, holders: 1, waiters: 1, by: inspector)
            guard case .yielding = try await inspector.askToYield(name, token: lease.fencingToken) else {
                throw Overdue(what: "an answer of the holder", limit: .zero)
            }
            #expect(try await waiter.lease().fencingToken > lease.fencingToken)
            #expect(try await waiter.release() == nil)
            #expect(try await holder.release()?.code == .lost)
            await one.shutdown()
            await other.shutdown()
        }
    }

    @Test func whoMayNotAskIsRefusedAndReported() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.ctl("add_user", "mqlock-foreign", "secret")
        try await broker.ctl("set_permissions", "-p", "/", "mqlock-foreign", ".*", ".*", ".*")
        let result = await Result { () async throws in
            try await broker.withName { name in
                let log = EventLog()
                let locks = try broker.locks(observer: log)
                let holder = Contender(locks, name)
                let lease = try await holder.lease()
                let inspector = try broker.inspector()
                _ = try await broker.view(name, holders: 1, by: inspector)
                var address = try #require(URLComponents(string: broker.uri))
                (address.user, address.password) = ("mqlock-foreign", "secret")
                let uri = try #require(address.string)
                let foreign = try RabbitMQInspector(.init(uri: uri))
                #expect(try await foreign.view(name).holders.count == 1, "to look is allowed")
                guard case .refused(let why) = try await foreign.askToYield(name, token: lease.fencingToken) else {
                    throw Overdue(what: "a refusal", limit: .zero)
                }
                #expect(why.contains("mqlock-foreign"))
                let event = try await log.first(.foreign)
                #expect(event.name == name)
                #expect(event.detail?.contains("mqlock-foreign") == true)
                #expect(lease.isValid)
                // A token of before: the asker has seen another holder than the one of now.
                let old = try #require(FencingToken(rawValue: lease.fencingToken.rawValue - 32))
                guard case .refused(let reason) = try await inspector.askToYield(name, token: old) else {
                    throw Overdue(what: "a refusal", limit: .zero)
                }
                #expect(reason.contains(lease.fencingToken.description))
                #expect(lease.isValid)
                #expect(try await holder.release() == nil)
                await locks.shutdown()

                let trusting = try broker.locks { $0.yieldUsers = ["mqlock-foreign"] }
                let next = Contender(trusting, name)
                let token = try await next.lease().fencingToken
                _ = try await broker.view(name, holders: 1, by: inspector)
                guard case .refused = try await inspector.askToYield(name, token: token) else {
                    throw Overdue(what: "a refusal to the user who is not on the list", limit: .zero)
                }
                guard case .yielding = try await foreign.askToYield(name, token: token) else {
                    throw Overdue(what: "obedience to the user on the list", limit: .zero)
                }
                try await next.release()
                await trusting.shutdown()
            }
        }
        try await broker.ctl("delete_user", "mqlock-foreign")
        try result.get()
    }

    /// Locks work for a user who may not use the exchange; it is said once.
    @Test func withoutPermissionEverythingElseWorks() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.ctl("add_user", "mqlock-modest", "secret")
        let objects = "^mqlock\\.v1($|/|\\.seeded/|\\.mend/)"
        try await broker.ctl("set_permissions", "-p", "/", "mqlock-modest", objects, objects, objects)
        let result = await Result { () async throws in
            try await broker.withName { name in
                let log = EventLog()
                var address = try #require(URLComponents(string: broker.uri))
                (address.user, address.password) = ("mqlock-modest", "secret")
                let modest = LiveBroker(uri: try #require(address.string), control: broker.control)
                let locks = try modest.locks(mutex: .singleActiveConsumer, observer: log) { $0.owner = "modest" }
                for _ in 0..<3 {
                    let held = try await locks.acquire(name, within: .seconds(20))
                    let event = try await log.first(.warning)
                    #expect(event.detail?.contains(ControlNames.exchange) == true)
                    try await held.release()
                }
                let held = try await locks.acquire(name, within: .seconds(20))
                #expect(try await broker.inspector().view(name, within: .milliseconds(500)).state == .silent)
                try await held.release()
                try await broker.closeConnections("modest locks")
                try await locks.acquire(name, within: .seconds(20)).release()
                #expect(log.events.filter { $0.kind == .warning }.count == 1)
                await #expect(throws: LockError.self) { try await modest.inspector().view(name) }
                await locks.shutdown()
            }
        }
        try await broker.ctl("delete_user", "mqlock-modest")
        try result.get()
    }

    @Test func foreignMessagesAreDropped() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: .singleActiveConsumer)
            let holder = Contender(locks, name)
            let lease = try await holder.lease()
            let inspector = try broker.inspector()
            _ = try await broker.view(name, holders: 1, by: inspector)
            let key = ObjectNames.encode(name)
            let target = "mqlock.v1.reply/\(Nonce())"
            let bystander = try broker.objects(name).queue
            let who = ControlRequest.who.text(Nonce().description).payload
            let yield = ControlRequest.yield(lease.fencingToken).text(Nonce().description).payload
            let answers = try broker.raw { client in
                try client.declare(target, arguments: [:])
                func send(_ body: [UInt8], replyTo: String?) throws {
                    var properties = MessageProperties()
                    properties.replyTo = replyTo
                    try client.publish(body, exchange: ControlNames.exchange, key: key, properties: properties)
                }
                for body in [[], Array("hello".utf8), [0, 255, 10], [UInt8](repeating: 120, count: 3_000_000)] {
                    try send(body, replyTo: target)
                }
                // No user that the broker has validated.
                try send(yield, replyTo: nil)
                try send(who, replyTo: bystander)
                for _ in 0..<2000 { try send(who, replyTo: target) }
                return try client.counts(target)?.messages ?? 0
            }
            try broker.raw { try $0.delete(target) }
            #expect(answers < 2000)
            #expect(lease.isValid)
            // The answer to a foreign queue would have been a foreign message to the lock.
            #expect(try broker.raw { try $0.counts(bystander)?.messages } == 0)
            // The budget fills up again.
            #expect(try await broker.view(name, holders: 1, by: inspector).state == .held)
            #expect(try await holder.release() == nil)
            await locks.shutdown()
        }
    }

    private func isListenedFor(_ name: LockName) async throws -> Bool {
        try await LiveBrokerTests.broker().ctl("-q", "list_bindings", "source_name", "routing_key")
            .split(separator: "\n").contains { $0 == "\(ControlNames.exchange)\t\(ControlNames.key(name))" }
    }

    @Test func aNameThatIsUsedOftenIsListenedFor() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: .token)
            let using = Task {
                while !Task.isCancelled { try await locks.acquire(name, within: .seconds(20)).release() }
            }
            try await eventually("a name that is used often to be listened for") { try await isListenedFor(name) }
            using.cancel()
            _ = await using.result
            await locks.shutdown()
        }
    }

    /// A hold shorter than a moment costs the broker nothing.
    @Test func aShortHoldIsNotListenedFor() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            // On a busy machine hardly anything is short.
            for _ in 0..<20 {
                let locks = try broker.locks(mutex: .token)
                try await broker.withName("other") { try await locks.acquire($0, within: .seconds(20)).release() }
                let start = ContinuousClock.now
                try await locks.acquire(name, within: .seconds(20)).release()
                let wasShort = start.duration(to: .now) < PresenceRegistry.delay / 2
                try await Task.sleep(for: PresenceRegistry.delay * 3)
                let isListenedFor = try await isListenedFor(name)
                await locks.shutdown()
                guard wasShort else { continue }
                return #expect(!isListenedFor)
            }
        }
    }

    @Test(.enabled(if: LiveBroker.isFullRun, "full: waits until names are given up"))
    func whatIsNoLongerListenedFor() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: .token)
            for _ in 0..<2 {
                let holder = Contender(locks, name)
                _ = try await holder.lease()
                _ = try await broker.view(name, holders: 1, by: broker.inspector())
                try await holder.release()
                try await eventually("a name that is out of use to be given up") { try await !isListenedFor(name) }
            }
            await locks.shutdown()
        }
    }

    /// The connection that listens is lost: the locks are not, and they are seen again.
    @Test func theListenerComesBack() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks(mutex: .token) { $0.owner = "inspection-back" }
            let holder = Contender(locks, name)
            let lease = try await holder.lease()
            let inspector = try broker.inspector()
            _ = try await broker.view(name, holders: 1, by: inspector)
            try await broker.closeConnections("inspection-back publishes")
            _ = try await broker.view(name, holders: 1, by: inspector)
            #expect(lease.isValid)
            #expect(try await holder.release() == nil)
            await locks.shutdown()
        }
    }

    @Test func changesAreReportedAsTheyHappen() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (one, other) = (
                try broker.locks(mutex: .singleActiveConsumer) { $0.owner = "one" },
                try broker.locks(mutex: .singleActiveConsumer) { $0.owner = "inspection-other" }
            )
            let story = Story(try broker.inspector { $0.owner = "inspection-observer" }, name)
            let first = Contender(one, name)
            _ = try await first.lease()
            try await eventually("the holder to be told") { story.words.contains { $0.hasSuffix("one") } }
            let second = Contender(other, name)
            try await story.wait(for: "waiting inspection-other")
            #expect(try await first.release() == nil)
            try await story.wait(for: "granted inspection-other")
            let third = Contender(one, name)
            try await story.wait(for: "waiting one")
            third.cancel()
            try await story.wait(for: "left one")
            // The observer's connection is lost; it goes on with the story all the same.
            try await broker.closeConnections("inspection-observer asks")
            let fourth = Contender(one, name)
            try await story.wait(for: "waiting one", count: 2)
            try await broker.closeConnections("inspection-other locks")
            try await story.wait(for: "granted one")
            #expect(try await second.release()?.code == .lost)
            _ = try await fourth.lease()
            #expect(try await fourth.release() == nil)
            try await story.wait(for: "released one", count: 2)
            let words = story.words
            #expect(words.filter { $0 == "lost inspection-other" }.count == 1, "\(words)")
            let (lost, granted) = (words.firstIndex(of: "lost inspection-other"), words.lastIndex(of: "granted one"))
            #expect(try #require(lost) < #require(granted), "\(words)")
            await one.shutdown()
            await other.shutdown()
        }
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
