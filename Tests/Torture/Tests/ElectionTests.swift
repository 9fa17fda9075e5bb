import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

extension TortureTests {
    /// Leader election over the mutexes of a real broker.
    @Suite(.serialized) struct ElectionTests {}
}

extension TortureTests.ElectionTests {
    private static let mutexes = MutexUnderTest.allCases

    /// All mutexes at once: it is mostly waiting.
    @Test func electionsOverLocksKeepTheRules() async throws {
        let broker = try await PrivateNode.shared().broker
        // What is mostly waiting runs beside the rest.
        let patient: Set<String> = [
            "a leader without progress resigns",
            "a silenced session: the body ends by the clock, before another leads",
        ]
        let rest = ElectionSuite(Self.subject(Self.mutexes[0], broker)).titles.subtracting(patient).sorted()
        let parts = [patient, Set(rest.prefix(rest.count / 2)), Set(rest.suffix(rest.count - rest.count / 2))]
        let reports = await withTaskGroup(of: (String, ElectionReport).self) { group in
            for mutex in Self.mutexes {
                let suite = ElectionSuite(Self.subject(mutex, broker))
                for part in parts { group.addTask { ("\(mutex)", await suite.run(part)) } }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        for (mutex, report) in reports.sorted(by: { $0.0 < $1.0 }) {
            print("\(mutex)\n\(report)")
            #expect(report.hasPassed, "\(mutex)\n\(report)")
            #expect(report.entries.allSatisfy { $0.outcome == .passed }, "nothing has to be left out")
        }
        let checks = patient.count + rest.count
        #expect(checks >= 17 && reports.reduce(0) { $0 + $1.1.entries.count } == checks * Self.mutexes.count)
    }

    /// Every candidate has a proxy of its own between it and the broker.
    private static func subject(_ mutex: MutexUnderTest, _ broker: LiveBroker) -> ElectionSubject<Seat> {
        var subject = ElectionSubject<Seat>(handOverLimit: .seconds(5)) { name, count in
            let inspector = try RabbitMQInspector(.init(uri: broker.uri))
            var seen = 0
            while seen < count {
                let view = try await inspector.view(name, within: .seconds(1))
                seen = view.holders.count + view.waiters.count
            }
        } make: { options in
            let proxy = try FaultyProxy(to: broker.port)
            let locks = try broker.behind(proxy).locks("heartbeat=2", mutex: .token) { configuration in
                mutex.configure(&configuration)
                configuration.owner = options.owner
            }
            let election = try LeaderElection(
                options.name, on: locks, inspector: RabbitMQInspector(.init(uri: broker.uri)), owner: options.owner,
                settings: options.settings)
            return Seat(locks: locks, proxy: proxy, election: election)
        }
        subject.patience = .seconds(60)
        subject.observesOthers = true
        // Both ends of the connection are told at once; who is quicker nobody can say.
        subject.noticeTakes = .seconds(1)
        subject.close = { seat in
            seat.proxy.change { ($0.silentToBroker, $0.silentToClient) = (false, false) }
            await seat.locks.shutdown(within: .zero)
        }
        subject.endSession = { $0.proxy.change { $0.cut = true } }
        subject.silence = { $0.proxy.change { ($0.silentToBroker, $0.silentToClient) = (true, true) } }
        subject.heal = { $0.proxy.change { ($0.silentToBroker, $0.silentToClient) = (false, false) } }
        return subject
    }

    /// A candidate, its session and its network.
    private struct Seat: Election {
        let locks: RabbitMQLocks
        let proxy: FaultyProxy
        let election: LeaderElection

        var name: LockName { election.name }
        var owner: String { election.owner }
        var leadership: Leadership? { election.leadership }
        var events: AsyncStream<ElectionEvent> { election.events }

        func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws {
            try await election.run(body)
        }
        func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
            try await election.campaign(within: limit)
        }
        func resign() async { await election.resign() }
        func shutdown() async { await election.shutdown() }
        func cede() async { await election.cede() }
        func observe() -> AsyncThrowingStream<Leader?, any Error> { election.observe() }
    }

    /// A leader is killed, another stopped: both are succeeded, a third process sees it, and no two ever lead.
    @Test func aKilledOrStoppedLeaderIsSucceeded() async throws {
        let node = try await PrivateNode.shared()
        let uri = "\(node.broker.uri)?heartbeat=1"
        try await node.broker.withName("election") { name in
            let watcher = try WorkerProcess("watch", uri, name, "sac")
            _ = try await watcher.line("ready")
            var candidates = try (0..<3).map { _ in try WorkerProcess("elect", uri, name, "sac") }
            var last: UInt64 = 0

            /// Which candidate leads next, with which token, since when.
            func next() async throws -> (index: Int, token: UInt64, at: Int64) {
                var found: (index: Int, token: UInt64, at: Int64)?
                try await eventually(within: .seconds(60), "the next leader") {
                    for (index, candidate) in candidates.enumerated() {
                        for line in candidate.lines where line.first == "elected" {
                            if let token = UInt64(line[1]), token > last, let at = Int64(line[2]) {
                                found = (index, token, at)
                            }
                        }
                    }
                    return found != nil
                }
                let leader = try #require(found)
                #expect(leader.token > last)
                last = leader.token
                try await eventually(within: .seconds(60), "the watcher to see \(leader.token)") {
                    watcher.lines.contains { $0.first == "leader" && $0.last == "\(leader.token)" }
                }
                return leader
            }

            let first = try await next()
            // Everybody is in line.
            try await eventually(within: .seconds(60), "three contenders") {
                try await node.broker.consumers(of: try node.broker.objects(name).queue) == 3
            }
            let killed = try await candidates[first.index].killNow()
            let second = try await next()
            print("killed: led again after \(Duration.nanoseconds(second.at - killed))")
            #expect(second.index != first.index)

            let stopped = candidates[second.index]
            stopped.signal(SIGSTOP)
            let instant = Boot.now
            let third = try await next()
            print("stopped: led again after \(Duration.nanoseconds(third.at - instant))")
            stopped.signal(SIGCONT)
            // When it goes on its lease is no longer valid, and its body ends.
            let ended = try await stopped.line("ended")
            #expect(ended[3] == "false")

            // The third cedes to the one that was stopped, as soon as that stands in line again.
            candidates = candidates.filter { $0 !== candidates[first.index] }
            try await eventually(within: .seconds(60), "two contenders") {
                try await node.broker.consumers(of: try node.broker.objects(name).queue) == 2
            }
            let ceding = try #require(candidates.first { $0 !== stopped })
            ceding.tell("cede")
            let fourth = try await next()
            #expect(candidates[fourth.index] === stopped)
            let left = try await ceding.line("ended")
            let gap = fourth.at - (try #require(Int64(left[2])))
            print("ceded: led again \(Duration.nanoseconds(gap)) after the body's end")
            #expect(gap > 0)

            // Who has resigned does not lead again, even alone.
            ceding.tell("resign")
            _ = try await ceding.line("withdrawn")
            try await stopped.killNow()
            let newcomer = try WorkerProcess("elect", uri, name, "sac")
            _ = try await newcomer.line("elected")
            #expect(ceding.lines.count { $0.first == "elected" } == 1)
        }
    }
}
