import Foundation
import Testing

/// Rules that no call can show for code that is yet to be written.
@Suite struct SourceRulesTests {
    /// Whatever is added to an instant can come from a user, over however many hands, and traps when it is too large.
    @Test func everySumWithAnInstantIsBounded() throws {
        let sources = ChoiceArticle.url("Sources")
        let files = try #require(FileManager.default.enumerator(at: sources, includingPropertiesForKeys: nil))
        var seen = 0
        for case let file as URL in files
        where file.pathExtension == "swift" && file.lastPathComponent != "BoundedTime.swift" {
            seen += 1
            for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
                // A pointer is moved by a plain number.
                let isOfTime = line.contains(".advanced(by: ") && !line.contains("advanced(by: 1)")
                let isSum =
                    line.contains(#/\.now [+-] /#) && !line.contains("HistoryClock") && !line.contains("DispatchTime")
                #expect(
                    !isOfTime && !isSum,
                    "\(file.lastPathComponent): use after(_:) or before(_:) in\(line)")
            }
        }
        #expect(seen > 200)
    }

    /// The tables of ICU in Foundation would make the smallest static service four times as large.
    @Test func librariesDoNotImportFoundation() throws {
        let fallback = """
            #if canImport(FoundationEssentials)
            import FoundationEssentials
            #else
            import Foundation
            #endif

            """
        var seen = 0
        for library in ["MQLock", "MQLockRabbitMQ", "MQLockKafka", "MQLockTesting", "MQLockLineReader"] {
            let folder = ChoiceArticle.url("Sources/\(library)")
            let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
            for case let file as URL in files where file.pathExtension == "swift" {
                seen += 1
                let source = try String(contentsOf: file, encoding: .utf8).replacing(fallback, with: "")
                #expect(!source.contains(#/\bimport Foundation(Internationalization)?\b/#), "\(file.lastPathComponent)")
            }
        }
        #expect(seen > 200)
    }

    /// The names of a package's modules are shared with every package that depends on it.
    @Test func everyModuleThatUsersBuildHasOurName() throws {
        let modules = try FileManager.default.contentsOfDirectory(atPath: ChoiceArticle.url("Sources").path)
        #expect(modules.count > 5)
        for module in modules { #expect(module.contains(#/^C?MQLock/#), "\(module)") }
    }
}
