import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Owners that write all the time and are held up at any step, one after the other.
    @Suite(.serialized, .disabled(if: LiveKafka.isMock, "kafka: the mock fences nobody"))
    struct OutputOrderTests {
        private static let shards = 4
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        /// In every partition the owners' records follow each other as the owners did, and what was said to be committed
        /// is there, and nothing else.
        @Test func committedOutputFollowsTheOrderOfOwners() async throws {
            let seed = TestSeed.next()
            print("seed of the delays: \(seed)")
            let result = try await play(isFenced: true, seed: seed)
            print("\(result.tally), \(result.owners) owners of \(Self.shards) shards, \(result.visible) visible")
            #expect(result.stepsBack == 0, "seed \(seed)")
            #expect(result.tally.lost > 0 && result.tally.others == 0, "seed \(seed)")
            #expect(result.visible >= result.tally.committed, "seed \(seed)")
            #expect(result.visible <= result.tally.committed + result.tally.unknown, "seed \(seed)")
        }

        /// That it would be noticed.
        @Test func withoutTheOffsetsTheOrderIsBroken() async throws {
            let result = try await play(isFenced: false, seed: 1)
            print("without the offsets: \(result.stepsBack) of \(result.visible) records stand behind a later owner's")
            #expect(result.stepsBack > 0)
        }

        private struct Tally: Sendable {
            var committed = 0
            var lost = 0
            var retriable = 0
            var unknown = 0
            var others = 0
        }

        private struct Result {
            var tally: Tally
            var visible: Int
            /// How often a record stands behind one with a larger token of its shard.
            var stepsBack: Int
            var owners: Int
        }

        /// A member that writes for every shard that it owns, over and over.
        private final class Owner: Sendable {
            let member: Member
            /// Set: the next transaction stops before its records, until it is unset.
            let isHeld = Locked(false)
            let isStopped = Locked(false)
            /// Shards that it has written for.
            let written = Locked<Set<Int>>([])
            private let writing = Locked<Task<Void, Never>?>(nil)

            init(
                _ broker: LiveKafka, _ topic: String, _ output: String, isFenced: Bool, _ tally: Locked<Tally>,
                _ generator: Locked<SeededGenerator>
            ) throws {
                member = try Member(
                    broker, topic, partitions: OutputOrderTests.shards, session: LiveKafka.session(.seconds(5)))
                let ownership = member.ownership
                let producer = try FencedProducer(ownership, .init(), isUnfenced: !isFenced) {
                    [isHeld, isStopped] step in
                    while step == .records, isHeld.withLock({ $0 }) {
                        isStopped.withLock { $0 = true }
                        usleep(1000)
                    }
                    // Mostly not at all.
                    let delay = generator.withLock { generator in
                        Int.random(in: 0..<4, using: &generator) > 0
                            ? 0 : UInt32.random(in: 0...60_000, using: &generator)
                    }
                    if delay > 0 { usleep(delay) }
                }
                let task = Task { [written] in
                    while !Task.isCancelled {
                        for shard in ownership.owned {
                            guard let lease = ownership.lease(for: shard) else { continue }
                            if await OutputOrderTests.write(output, shard, lease, producer, tally) {
                                written.withLock { _ = $0.insert(shard) }
                            }
                        }
                        // A rebalance has taken everything.
                        if ownership.owned.isEmpty { try? await Task.sleep(for: .milliseconds(2)) }
                    }
                }
                writing.withLock { $0 = task }
            }

            func end() async {
                let task = writing.withLock { $0 }
                task?.cancel()
                await task?.value
            }
        }

        private func play(isFenced: Bool, seed: UInt64) async throws -> Result {
            let topic = try broker.makeTopic(partitions: Self.shards)
            let output = try broker.makeTopic(partitions: Self.shards)
            let tally = Locked(Tally())
            let generator = Locked(SeededGenerator(seed))
            func join() throws -> Owner {
                try Owner(broker, topic, output, isFenced: isFenced, tally, generator)
            }
            var former = try join()
            for _ in 0..<6 {
                try await eventually("output for every shard") { former.written.withLock { $0.count } == Self.shards }
                former.isHeld.withLock { $0 = true }
                try await eventually("a transaction that stands still") { former.isStopped.withLock { $0 } }
                let next = try join()
                await former.member.leave()
                try await eventually("the next owner's output") { next.written.withLock { $0.count } == Self.shards }
                former.isHeld.withLock { $0 = false }
                await former.end()
                former = next
            }
            await former.end()
            await former.member.leave()
            let (tokens, visible) = try tokens(in: output)
            let stepsBack = tokens.map { zip($0, $0.dropFirst()).count { $0 > $1 } }.reduce(0, +)
            return Result(
                tally: tally.withLock { $0 }, visible: visible, stepsBack: stepsBack,
                owners: tokens.map { Set($0).count }.reduce(0, +))
        }

        private static func write(
            _ output: String, _ shard: Int, _ lease: Lease, _ producer: FencedProducer, _ tally: Locked<Tally>
        ) async -> Bool {
            do {
                try await producer.transaction(for: lease) {
                    $0.send(output, partition: shard, key: "k", value: "v")
                }
                tally.withLock { $0.committed += 1 }
                return true
            } catch let error as LockError {
                tally.withLock { tally in
                    switch error.code {
                    case .lost: tally.lost += 1
                    case .unreachable: tally.retriable += 1
                    case .outcomeUnknown: tally.unknown += 1
                    default:
                        tally.others += 1
                        print("unexpected: \(error)")
                    }
                }
            } catch {
                tally.withLock { $0.others += 1 }
            }
            return false
        }

        /// The tokens of each partition's committed records, in their order.
        private func tokens(in output: String) throws -> ([[FencingToken]], Int) {
            let readers = try ReaderPair(broker.connection, group: output)
            var ranges: [Int32: Range<Int64>] = [:]
            for shard in 0..<Int32(Self.shards) {
                ranges[shard] = try readers.uncommitted.bounds(output, shard, within: .seconds(5))
            }
            var tokens = [[FencingToken]](repeating: [], count: Self.shards)
            try readers.committed.read(output, ranges, within: .seconds(30)) { record in
                if let stamp = FenceStamp.read(record.headers).stamp {
                    tokens[Int(record.partition)].append(stamp.token)
                }
            }
            return (tokens, tokens.map(\.count).reduce(0, +))
        }
    }
}
