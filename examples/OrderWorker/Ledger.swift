import ExamplesShared
import Foundation
import MQLock

/// The output: the finished orders, one file of lines per slot. Each line is stamped with the token under which it was
/// written.
///
/// Every write goes through the slot's fence gate, so a worker that was stopped and resumes late writes nothing once
/// its successor has read the ledger. On one machine a `FileFenceGate` is that gate. A ledger in a database has the
/// token in a table instead and compares it in the same statement (see MQLock's article FencingInSQL), and has a unique
/// index on customer and number.
struct Ledger: Sendable {
    let directory: String

    struct Line: Equatable {
        var token: FencingToken
        var order: Order
        var worker: String
    }

    /// The state of an order from the queue, according to the ledger.
    enum Standing: Equatable {
        /// The next one of its customer.
        case due
        /// Already done: the broker delivered it again, or the producer published it again.
        case done
        /// Another order of the same customer has to come first.
        case early(next: Int)
    }

    /// Checks whether the order can be processed.
    ///
    /// The token is admitted before the file is read. From then on no earlier holder can write, so what is read here
    /// stays true until we lose the lock and a later holder is admitted. Then our own ``enter(_:by:under:)`` fails.
    func standing(of order: Order, in slot: Int, under lease: Lease) throws -> Standing {
        try gate(slot).withAdmission(lease.fencingToken, for: lease.name) {
            let last = try lines(ofSlot: slot).last { $0.order.customer == order.customer }?.order.number ?? 0
            if order.number <= last { return .done }
            return order.number == last + 1 ? .due : .early(next: last + 1)
        }
    }

    /// Enters the order; it is on the disk when this returns.
    /// - Throws: `LockError` with code `staleToken` when a later holder of the slot was here: nothing is written then.
    func enter(_ order: Order, by worker: String, in slot: Int, under lease: Lease) throws {
        try gate(slot).withAdmission(lease.fencingToken, for: lease.name) {
            let url = URL(fileURLWithPath: path(slot))
            if !FileManager.default.fileExists(atPath: url.path) { try Data().write(to: url) }
            let file = try FileHandle(forUpdating: url)
            defer { try? file.close() }
            // A worker that died in the middle of a line left a part of it: the next line replaces it.
            let old = try file.readToEnd() ?? Data()
            let whole = old.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            try file.truncate(atOffset: UInt64(whole))
            let line = Line(token: lease.fencingToken, order: order, worker: worker)
            try file.write(contentsOf: Data((line.text + "\n").utf8))
            try file.synchronize()
        }
    }

    /// The complete lines of a slot, oldest first.
    func lines(ofSlot slot: Int) throws -> [Line] {
        guard let data = FileManager.default.contents(atPath: path(slot)) else { return [] }
        return try data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast().map { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let line = Line(text: text) else {
                throw ExampleError("the ledger of slot \(slot) has a line '\(text)'")
            }
            return line
        }
    }

    /// One gate per resource, because the writes of a gate run one after the other. A new token costs two `fsync`s.
    private func gate(_ slot: Int) -> FileFenceGate { FileFenceGate(path: "\(directory)/slot-\(slot).fence") }

    private func path(_ slot: Int) -> String { "\(directory)/slot-\(slot).ledger" }
}

extension Ledger.Line {
    var text: String { "\(token) \(order.customer) \(order.number) \(order.amount) \(worker)" }

    init?(text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 5, let token = FencingToken(words[0]), let number = Int(words[2]),
            let amount = Int(words[3])
        else { return nil }
        self.init(
            token: token, order: Order(customer: String(words[1]), number: number, amount: amount),
            worker: String(words[4]))
    }
}
