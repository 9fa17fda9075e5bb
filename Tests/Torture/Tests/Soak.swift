import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockRabbitMQ

/// Programs with a proxy each, the contenders in them, and everything that was granted.
final class Soak: Sendable {
    enum Fault: String, CaseIterable {
        case cut, silence, slowness, connectionsClosed, queueDeleted, memoryAlarm, freeze, crash
    }

    private struct Member: Sendable {
        let mutex: MutexUnderTest
        let locks: RabbitMQLocks
        let proxy: FaultyProxy
        let names: [LockName]
    }

    private struct Grant: Sendable {
        let token: FencingToken
        let from: ContinuousClock.Instant
        let to: ContinuousClock.Instant
    }

    let names: [LockName]
    let began = ContinuousClock.now
    private let node: PrivateNode
    private let programs: [Member]
    private let grants = Locked<[LockName: [Grant]]>([:])
    private let losses = Locked<[(mutex: MutexUnderTest, lease: Lease)]>([])
    /// When the broker took locks back and told their holders, so that somebody else may have been quicker than the news.
    private let notices = Locked<[ClosedRange<ContinuousClock.Instant>]>([])
    private let isStopped = Locked(false)

    private static let (nameCount, contenderCount, programsPerMutex) = (50, 1000, 5)

    init(on node: PrivateNode) throws {
        self.node = node
        let mutexes = MutexUnderTest.allCases
        let run = UInt64.random(in: 0 ... .max)
        let names = try (0..<Self.nameCount).map { try LockName("test/soak/\(run)/\($0)") }
        programs = try mutexes.indices.flatMap { index in
            let own = names.indices.filter { $0 % mutexes.count == index }.map { names[$0] }
            return try (0..<Self.programsPerMutex).map { _ in
                let proxy = try FaultyProxy(to: node.port)
                let locks = try node.broker.behind(proxy).locks("heartbeat=5") { mutexes[index].configure(&$0) }
                return Member(mutex: mutexes[index], locks: locks, proxy: proxy, names: own)
            }
        }
        self.names = names
    }

    /// As many contenders as there are to be, each name's spread over its mutex's programs.
    func start() -> [Task<Void, Never>] {
        let perName = Self.contenderCount / Self.nameCount / Self.programsPerMutex
        return programs.flatMap { program in
            program.names.flatMap { name in
                (0..<perName).map { _ in Task { await self.contend(for: name, in: program) } }
            }
        }
    }

    private func contend(for name: LockName, in program: Member) async {
        while !isStopped.withLock({ $0 }) {
            // Some waits are given up: with a grant on its way, or not.
            let patience = Duration.milliseconds(Int.random(in: 1...20_000))
            guard let held = try? await program.locks.acquire(name, within: patience) else { continue }
            let lease = held.lease
            // Most are short; some are long enough for every fault to meet a holder.
            let isLong = Int.random(in: 0..<20) == 0
            try? await Task.sleep(for: .milliseconds(Int.random(in: 0...(isLong ? 3000 : 20))))
            let wasLost: Bool
            do throws(LockError) {
                try await held.release()
                wasLost = false
            } catch {
                wasLost = true
            }
            if wasLost { losses.withLock { $0.append((program.mutex, lease)) } }
            let grant = Grant(
                token: lease.fencingToken, from: lease.record.grantedAt, to: lease.record.endedAt ?? .now)
            grants.withLock { $0[name, default: []].append(grant) }
        }
    }

    var isWarm: Bool { grants.withLock { $0.count == names.count && $0.values.allSatisfy { $0.count >= 5 } } }

    func stop() { isStopped.withLock { $0 = true } }

    /// How many leases were lost so far; the reasons of those after `count` are printed.
    func lost(after count: Int? = nil) -> Int {
        let losses = losses.withLock { $0 }
        for (mutex, lease) in losses.dropFirst(count ?? losses.count) {
            let end = lease.record.endedAt.map { began.duration(to: $0).readable } ?? "?"
            print("soak: lost \(mutex) \(lease.name) at \(end): \(lease.record.state)")
        }
        return losses.count
    }

    /// One fault from its beginning to its end.
    func strike(_ fault: Fault, using generator: inout SeededGenerator) async throws {
        let program = try #require(programs.randomElement(using: &generator))
        let name = try #require(names.randomElement(using: &generator))
        let start = ContinuousClock.now
        defer {
            if [.cut, .connectionsClosed, .queueDeleted].contains(fault) {
                notices.withLock { $0.append(start...ContinuousClock.now.advanced(by: .seconds(2))) }
            }
        }
        switch fault {
        case .cut: program.proxy.change { $0.cut = true }
        case .silence:
            program.proxy.change { ($0.silentToBroker, $0.silentToClient) = (true, true) }
            try await Task.sleep(for: .seconds(Int.random(in: 1...15, using: &generator)))
            program.proxy.change { ($0.silentToBroker, $0.silentToClient) = (false, false) }
        case .slowness:
            program.proxy.change { $0.delay = .milliseconds(500) }
            try await Task.sleep(for: .seconds(2))
            program.proxy.change { $0.delay = .zero }
        case .connectionsClosed: try await node.broker.ctl("close_all_connections", "soak")
        case .queueDeleted: try await node.broker.deleteQueue(try node.broker.objects(name).queue)
        case .memoryAlarm:
            try await node.broker.ctl("set_vm_memory_high_watermark", "0.0000001")
            try await Task.sleep(for: .seconds(3))
            try await node.broker.ctl("set_vm_memory_high_watermark", "0.6")
        case .freeze:
            node.signal(SIGSTOP)
            try await Task.sleep(for: .seconds(Int.random(in: 1...12, using: &generator)))
            node.signal(SIGCONT)
        case .crash:
            // A quorum queue younger than that may come back without a leader (3.10.8).
            try await Task.sleep(for: .seconds(2))
            try await node.crash()
            try await node.start()
        }
    }

    /// Checks every name's grants: none began before the one with the number below it had ended, but for the moment that
    /// the broker's notice takes. Returns how many there were, and the longest such moment.
    func verdict() -> (grants: Int, moment: Duration) {
        let (all, notices) = (grants.withLock { $0 }, notices.withLock { $0 })
        var moment = Duration.zero
        let warm = began.advanced(by: .seconds(30))
        for (name, grants) in all {
            let ordered = grants.sorted { $0.token < $1.token }
            for (last, next) in zip(ordered, ordered.dropFirst()) {
                #expect(last.token < next.token, "\(name): a number was granted twice")
                guard next.from < last.to else { continue }
                let overlap = next.from.duration(to: last.to)
                let isNotice =
                    (next.from < warm || notices.contains { $0.contains(next.from) }) && overlap < .seconds(1)
                #expect(isNotice, "\(name): two at once for \(overlap.readable)")
                moment = max(moment, overlap)
            }
        }
        #expect(all.count == names.count, "every name was granted")
        return (all.values.reduce(0) { $0 + $1.count }, moment)
    }

    /// How many grants each second since the beginning saw.
    var pace: [Int] {
        let all = grants.withLock { $0.values.flatMap(\.self) }
        var pace: [Int] = []
        for grant in all {
            let second = Int(began.duration(to: grant.from).components.seconds)
            if second >= pace.count { pace += Array(repeating: 0, count: second + 1 - pace.count) }
            pace[second] += 1
        }
        return pace
    }

    func shutdown() async {
        for program in programs { await program.locks.shutdown() }
    }

    /// A new program gets every lock at once, and gives it back; then no queue has a message that is out, or a consumer.
    func everythingIsFree() async throws {
        for mutex in MutexUnderTest.allCases {
            let locks = try node.broker.locks { mutex.configure(&$0) }
            for name in programs.first(where: { $0.mutex.description == mutex.description })?.names ?? [] {
                let again = Contender(locks, name, within: .seconds(30))
                #expect(try await again.failure() == nil, "\(mutex), \(name)")
                #expect(try await again.release() == nil)
            }
            await locks.shutdown()
        }
        try await eventually(within: .seconds(60), every: .milliseconds(500), "queues at rest, with a token each") {
            try await self.queues().allSatisfy { queue in
                queue.unacknowledged == 0 && queue.consumers == 0 && (queue.mutex != "token" || queue.ready == 1)
            }
        }
        for mutex in MutexUnderTest.allCases {
            let ready = try await queues().filter { $0.mutex == mutex.description }.map(\.ready)
            print(
                "soak: \(mutex): \(ready.count) queues at rest, \(ready.min() ?? 0) to \(ready.max() ?? 0) messages each"
            )
        }
    }

    /// The names' own queues, as far as there are any.
    private func queues() async throws -> [(mutex: String, ready: Int, unacknowledged: Int, consumers: Int)] {
        var mutexes: [String: String] = [:]
        for program in programs {
            for name in program.names { mutexes["mqlock.v1/\(name)"] = program.mutex.description }
        }
        let fields = ["name", "messages_ready", "messages_unacknowledged", "consumers"]
        let control = try #require(node.broker.control)
        return try await Program.run(control, ["-q", "list_queues"] + fields).split(separator: "\n").compactMap {
            line in
            let cells = line.split(separator: "\t").map(String.init)
            guard cells.count == 4, let mutex = mutexes[cells[0]] else { return nil }
            let numbers = cells.dropFirst().compactMap { Int($0) }
            return numbers.count == 3 ? (mutex, numbers[0], numbers[1], numbers[2]) : nil
        }
    }
}
