import Foundation
import MQLock
import Testing

func token(_ number: UInt64) -> FencingToken { FencingToken(rawValue: number)! }

/// A directory that is gone at the end of the test.
final class Scratch: Sendable {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "mqlock-fence-\(UUID())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var marks: String { path + "/marks" }

    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }
}

@Suite("Fence gates") struct FenceGateTests {
    enum Sort: CaseIterable, Sendable { case memory, file, folder }

    private let scratch: Scratch

    init() throws { scratch = try Scratch() }

    private func gate(_ sort: Sort) -> any FenceGate {
        switch sort {
        case .memory: MemoryFenceGate()
        case .file: FileFenceGate(path: scratch.marks)
        case .folder: FolderFenceGate(path: scratch.path)
        }
    }

    @Test(arguments: Sort.allCases) func staleIsRefusedEqualAdmitted(_ sort: Sort) throws {
        let gate = gate(sort)
        #expect(try gate.highest(for: "n") == nil)
        try gate.admit(token(5), for: "n")
        try gate.admit(token(5), for: "n")
        try gate.admit(token(9), for: "n")
        var wrote = false
        let error = #expect(throws: LockError.self) {
            try gate.withAdmission(token(8), for: "n") { wrote = true }
        }
        #expect(!wrote)
        #expect(error?.code == .staleToken)
        #expect(error?.refusal == FenceRefusal(presented: token(8), highest: token(9)))
        #expect(try gate.highest(for: "n") == token(9))
        #expect(try gate.highest(for: "other") == nil)
        try gate.admit(token(1), for: "other")
        #expect(try gate.highest(for: "n") == token(9))
    }

    @Test(arguments: Sort.allCases) func smallestAndLargestToken(_ sort: Sort) throws {
        let gate = gate(sort)
        try gate.admit(token(0), for: "n")
        #expect(try gate.highest(for: "n") == token(0))
        try gate.admit(token(FencingToken.maximum), for: "n")
        #expect(throws: LockError.self) { try gate.admit(token(FencingToken.maximum - 1), for: "n") }
    }

    @Test(arguments: Sort.allCases) func failedWriteIsRememberedAndRethrown(_ sort: Sort) throws {
        struct Failure: Error {}
        let gate = gate(sort)
        #expect(throws: Failure.self) { try gate.withAdmission(token(7), for: "n") { throw Failure() } }
        #expect(try gate.highest(for: "n") == token(7))
        #expect(try gate.withAdmission(token(7), for: "n") { 42 } == 42)
    }

    /// Eight threads, each with a gate of its own on one path as eight processes would have: no write overlaps with
    /// another, none comes after a larger one, and the mark never sinks.
    @Test(arguments: Sort.allCases) func writersNeverOverlapAndTheMarkNeverSinks(_ sort: Sort) async throws {
        struct Book { var inside = 0, order: [UInt64] = [], failures: [String] = [] }
        let book = Locked(Book())
        let shared = gate(sort)
        let (marks, folder) = (scratch.marks, scratch.path)
        await withTaskGroup(of: Void.self) { group in
            for writer in UInt64(0)..<8 {
                group.addTask {
                    try? await aside {
                        let gate: any FenceGate =
                            switch sort {
                            case .memory: shared
                            case .file: FileFenceGate(path: marks)
                            case .folder: FolderFenceGate(path: folder)
                            }
                        for round in UInt64(0)..<25 {
                            do {
                                try gate.withAdmission(token(round * 8 + (writer * 5 + round) % 8), for: "n") {
                                    book.withLock {
                                        $0.inside += 1
                                        if $0.inside != 1 { $0.failures.append("overlap") }
                                        $0.order.append(round * 8 + (writer * 5 + round) % 8)
                                    }
                                    sched_yield()
                                    book.withLock { $0.inside -= 1 }
                                }
                            } catch let error as LockError where error.code == .staleToken {
                                continue
                            } catch {
                                book.withLock { $0.failures.append("\(error)") }
                            }
                        }
                    }
                }
            }
        }
        let result = book.withLock { $0 }
        #expect(result.failures == [])
        #expect(result.order == result.order.sorted())
        #expect(try shared.highest(for: "n")?.rawValue == result.order.last)
    }

    @Test func memoryGateHasALimit() throws {
        let gate = MemoryFenceGate(maximumNames: 1)
        try gate.admit(token(1), for: "a")
        #expect(throws: LockError.self) { try gate.admit(token(1), for: "b") }
        try gate.admit(token(2), for: "a")
    }
}
