import Foundation
import Testing

extension LiveKafkaTests {
    @Suite(
        .enabled(
            if: ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1" && !LiveKafka.isMock,
            "full: 200 memberships take minutes on the embedded Kafka; set MQLOCK_KAFKA and MQLOCK_TEST_FULL=1"))
    struct GrowthTests {
        private struct Counts {
            var threads: Int
            var descriptors: Int
            /// In KiB.
            var resident: Int

            init?(_ line: Substring) {
                let words = line.split(separator: " ").compactMap { Int($0) }
                guard words.count == 3 else { return nil }
                (threads, descriptors, resident) = (words[0], words[1], words[2])
            }
        }

        /// In a process of its own, where nothing else comes and goes.
        @Test func twoHundredJoinsAndLeaves() async throws {
            let broker = try LiveKafkaTests.broker()
            let topic = try broker.makeTopic(partitions: 4)
            let output = FileManager.default.temporaryDirectory.appending(path: "\(topic).growth")
            defer { try? FileManager.default.removeItem(at: output) }
            let process = try spawn(
                programBesideTests("ShardWorker"),
                ["grow", broker.brokers.joined(separator: ","), topic, "4", "220"], output: output.path)
            defer {
                close(process.input)
                kill(process.pid, SIGKILL)
                waitpid(process.pid, nil, 0)
            }
            var counts: [Counts] = []
            // After 22 joins, and after 220.
            try await eventually("220 joins and leaves", within: .seconds(280)) {
                counts = ((try? String(contentsOf: output, encoding: .utf8)) ?? "").split(separator: "\n")
                    .compactMap { Counts($0) }
                return counts.count == 2
            }
            let (before, after) = (counts[0], counts[1])
            print("after 22 joins and leaves \(before), after 220 \(after)")
            // Threads of the runtime's own pools come and go.
            #expect(after.threads <= before.threads + 8)
            #expect(after.descriptors <= before.descriptors)
            // A client's buffers are some hundreds of KiB: a leak of one a join would be tens of MiB.
            #expect(after.resident <= before.resident + 8 * 1024)
        }
    }
}
