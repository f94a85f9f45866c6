module github.com/minehound/minehound

go 1.26.0
