import Foundation
import MQLock
import Testing

@Suite("Folder fence gate") struct FolderFenceGateTests {
    private let scratch: Scratch
    private var gate: FolderFenceGate { FolderFenceGate(path: scratch.path) }

    init() throws { scratch = try Scratch() }

    /// Many more names than files, so that most share one, and every one is told apart.
    @Test func namesAreDistinguished() async throws {
        let gate = gate
        try await aside {
            for number in UInt64(0)..<300 { try gate.admit(token(number + 1), for: try LockName("n\(number)")) }
            for number in UInt64(0)..<300 {
                let name = try LockName("n\(number)")
                #expect(try gate.highest(for: name) == token(number + 1))
                #expect(throws: LockError.self) { try gate.admit(token(number), for: name) }
            }
        }
        #expect(scratch.names.count(where: { $0.hasSuffix(".fence") }) <= 256)
        #expect(scratch.names.count(where: { $0.hasSuffix(".fence") }) > 100)
    }

    /// Where a name lies must never change: another file would know nothing of it.
    @Test func placesStayWhereTheyAre() throws {
        for name: LockName in ["n", "orders/slot-7", "é"] { try gate.admit(token(1), for: name) }
        #expect(scratch.names.filter { $0.hasSuffix(".fence") } == ["14.fence", "68.fence", "6d.fence"])
    }

    @Test func folderIsNeverMade() throws {
        let error = #expect(throws: LockError.self) {
            try FolderFenceGate(path: scratch.path + "/no").admit(token(1), for: "n")
        }
        #expect(error?.code == .storageFailed)
        #expect(scratch.names == [])
    }
}
