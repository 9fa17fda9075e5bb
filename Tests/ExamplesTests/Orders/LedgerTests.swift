import ExamplesShared
import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import OrderWorker

@Suite("the ledger of the order example") final class LedgerTests {
    private let ledger = Ledger(directory: NSTemporaryDirectory() + "ledger-\(UUID().uuidString)")
    // On a clock that stands still: these tests are about files, not about proofs.
    private let locks = InMemoryLocks(InMemoryBroker(clock: ManualClock()))
    private let slot = 3

    init() throws {
        try FileManager.default.createDirectory(atPath: ledger.directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: ledger.directory) }

    @Test("an order is due, done or early")
    func standing() async throws {
        let lease = try await lease()
        #expect(try ledger.standing(of: order(1), in: slot, under: lease) == .due)
        #expect(try ledger.standing(of: order(2), in: slot, under: lease) == .early(next: 1))
        try ledger.enter(order(1), by: "w", in: slot, under: lease)
        #expect(try ledger.standing(of: order(1), in: slot, under: lease) == .done)
        #expect(try ledger.standing(of: order(2), in: slot, under: lease) == .due)
    }

    @Test("a former holder writes nothing once its successor has looked")
    func stale() async throws {
        let former = try await lease()
        let latter = try await lease()
        try ledger.enter(order(1), by: "former", in: slot, under: former)
        #expect(try ledger.standing(of: order(2), in: slot, under: latter) == .due)
        let error = #expect(throws: LockError.self) {
            try ledger.enter(order(2), by: "former", in: slot, under: former)
        }
        #expect(error?.code == .staleToken)
        #expect(try ledger.lines(ofSlot: slot).map(\.worker) == ["former"])
    }

    @Test("a piece of a line, left by a crash, counts for nothing and makes room")
    func torn() async throws {
        let lease = try await lease()
        try ledger.enter(order(1), by: "w", in: slot, under: lease)
        let file = try #require(FileHandle(forUpdatingAtPath: "\(ledger.directory)/slot-\(slot).ledger"))
        try file.seekToEnd()
        try file.write(contentsOf: Data("58 anna 2 1".utf8))
        try file.close()
        #expect(try ledger.standing(of: order(2), in: slot, under: lease) == .due)
        try ledger.enter(order(2), by: "w", in: slot, under: lease)
        #expect(try ledger.lines(ofSlot: slot).map(\.order) == [order(1), order(2)])
    }

    @Test("the audit finds what is twice, out of turn or stale")
    func audit() throws {
        let lines = ["5 anna 1 0 w", "6 anna 1 0 w", "7 anna 3 0 w", "6 berta 1 0 w"]
        let path = "\(ledger.directory)/slot-0.ledger"
        for (count, complaints) in [(1, 0), (2, 1), (3, 2), (4, 3)] {
            try (lines.prefix(count).joined(separator: "\n") + "\n").write(
                toFile: path, atomically: true, encoding: .utf8)
            #expect(try Audit(ledger, slots: 16).complaints.count == complaints)
        }
    }

    @Test("messages that are no orders", arguments: ["", "{}", #"{"customer":"a b","number":1,"amount":1}"#])
    func foreignMessages(text: String) { #expect(Order(message: Array(text.utf8)) == nil) }

    private func order(_ number: Int) -> Order { Order(customer: "anna", number: number, amount: 100) }

    /// A later one each time. The locks are given back, which the gate knows nothing of.
    private func lease() async throws -> Lease { try await locks.withLock("test/16/3") { $0 } }
}
