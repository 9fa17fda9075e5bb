import Foundation
import MQLock
import MQLockTesting
import Testing

@Suite("History recorder") struct HistoryRecorderTests {
    static let everyKind: [History.Kind] = [
        .waiting, .granted(token: FencingToken.maximum), .ended(cause: .released, validUntil: 5),
        .ended(cause: .lost("line\nfeed \"quoted\" é"), validUntil: .max), .gaveUp,
        .wrote(token: 1, accepted: true, resource: "/r"), .wrote(token: 1, accepted: false, resource: ""),
        .processDied, .processStopped, .processContinued, .brokerDown, .brokerUp,
    ]

    @Test func linesComeBackAsTheyWere() throws {
        let events = Self.everyKind.map {
            History.Event(at: .max, process: "p", contender: "c", name: "n\u{2028}\n", kind: $0)
        }
        let text = events.map(\.line).joined()
        #expect(text.utf8.count { $0 == UInt8(ascii: "\n") } == events.count)
        #expect(try History.events(fromLines: text) == events)
        #expect(try History.Event(line: events[0].line) == events[0])
    }

    @Test func formatStaysAsItIs() throws {
        let event = History.Event(at: 81, process: "w1", contender: "a", name: "n", kind: .granted(token: 7))
        #expect(
            event.line == #"{"at":81,"contender":"a","event":"granted","name":"n","process":"w1","token":7}"# + "\n")
    }

    @Test func cutLastLineIsLeftOut() throws {
        let line = History.Event(at: 1, process: "p", kind: .processDied).line
        #expect(try History.events(fromLines: line + line.dropLast(4)).count == 1)
        #expect(try History.events(fromLines: line + line.dropLast()).count == 2)
        #expect(throws: DecodingError.self) { try History.events(fromLines: line.dropLast(4) + "\n" + line) }
    }

    @Test func clockIsTheMachines() {
        let before = HistoryClock.now
        var time = timespec()
        #if os(Linux)
        clock_gettime(CLOCK_BOOTTIME, &time)
        let raw = UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
        // A microsecond for the measuring of where the zeros lie.
        #expect(before <= raw + 1000)
        #expect(HistoryClock.now + 1000 >= raw)
        #endif
        let instant = ContinuousClock.now
        #expect(
            HistoryClock.nanoseconds(of: instant + .seconds(2)) == HistoryClock.nanoseconds(of: instant) + 2_000_000_000
        )
    }

    @Test func manyThreadsWriteWholeLinesInOrder() async throws {
        let path = NSTemporaryDirectory() + "mqlock-history-\(UUID())"
        let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        defer { close(descriptor) }
        // At once: a test that is killed leaves nothing behind.
        unlink(path)
        let recorder = HistoryRecorder(process: "p", appendingTo: descriptor)
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for _ in 0..<200 { recorder.record(.waiting, name: "n", contender: "\(task)") }
                }
            }
        }
        lseek(descriptor, 0, SEEK_SET)
        let written = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false).readDataToEndOfFile()
        let told = try History.events(fromLines: String(decoding: written, as: UTF8.self))
        #expect(told == recorder.events)
        #expect(told.count == 1600)
        #expect(zip(told, told.dropFirst()).allSatisfy { $0.at <= $1.at })
        #expect(recorder.writeFailure == nil)
    }

    @Test func failedWriteIsKept() {
        let recorder = HistoryRecorder(process: "p", appendingTo: -1)
        recorder.record(.processDied)
        #expect(recorder.writeFailure == EBADF)
        #expect(recorder.events.count == 1)
    }
}
