import './style.css'

document.querySelector('#app').textContent = `Hello from Vite at ${location.pathname}`
